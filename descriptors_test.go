package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/testkit"
)

// outpost is the program itself on a TCP port, with the demo's configuration
// and the embedded tier.
type outpost struct {
	tb     testing.TB
	public string // host:port
	admin  *http.Client
	log    string // file
}

// startOutpost starts one and returns when it is ready. With files it may have
// no more descriptors than that. env overrides keys.
func startOutpost(tb testing.TB, files int, env ...string) *outpost {
	tb.Helper()
	dir := tb.TempDir()
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), manual, 0o600); err != nil {
		tb.Fatal(err)
	}
	o := &outpost{tb: tb, public: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb)), log: filepath.Join(dir, "log")}
	log, err := os.Create(o.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	socket := filepath.Join(dir, "admin.sock")
	command := `exec hearth -config "$0"` // TestMain puts it into PATH
	if files > 0 {
		command = fmt.Sprintf("ulimit -n %d && %s", files, command)
	}
	cmd := exec.Command("sh", "-c", command, filepath.Join(dir, "config.toml"))
	cmd.Env = append(os.Environ(), "HEARTH_SERVER_LISTEN="+o.public, "HEARTH_SERVER_ADMIN=unix:"+socket)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	o.admin = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	tb.Cleanup(func() {
		o.admin.CloseIdleConnections()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("the log:\n%s", o.logs())
		}
	})
	testkit.Eventually(tb, 20*time.Second, "the instance is ready", func() bool {
		resp, err := o.admin.Get("http://localhost/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return o
}

func (o *outpost) logs() string {
	text, err := os.ReadFile(o.log)
	if err != nil {
		o.tb.Error(err)
	}
	return string(text)
}

// metric reads a number without labels off the admin listener.
func (o *outpost) metric(name string) float64 {
	o.tb.Helper()
	resp, err := o.admin.Get("http://localhost/metrics")
	if err != nil {
		o.tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				o.tb.Fatal(err)
			}
			return v
		}
	}
	o.tb.Fatalf("there is no metric %q", name)
	return 0
}

// visitor is one keep-alive connection; whoever has it decides what a failure
// means. It is not safe for concurrent use.
type visitor struct {
	conn net.Conn
	in   *bufio.Reader
	resp fasthttp.Response
}

// visit opens a connection that nothing is waited for longer than a minute on.
func (o *outpost) visit() (*visitor, error) {
	conn, err := net.DialTimeout("tcp", o.public, time.Minute)
	if err != nil {
		return nil, err
	}
	return &visitor{conn: conn, in: bufio.NewReader(conn)}, nil
}

// ask sends a request without or with a JSON body and returns the answer's
// status.
func (v *visitor) ask(method, target, body string) (status int, err error) {
	if err := v.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(v.conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		method, target, len(body), body); err != nil {
		return 0, err
	}
	if err := v.resp.Read(v.in); err != nil {
		return 0, err
	}
	return v.resp.StatusCode(), nil
}

// TestDescriptorsRunOut opens connections until the server has no descriptor
// left to accept one with. Those it has are still answered, and when the others
// go it accepts again, all by itself.
func TestDescriptorsRunOut(t *testing.T) {
	const files = 64
	o := startOutpost(t, files)
	before := o.metric("process_open_fds")
	regular, err := o.visit()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = regular.conn.Close() }()
	answered := func(when string) {
		t.Helper()
		for target, want := range map[string]int{"/user/1": 200, "/item/none": 404, "/healthz": 200} { // none: asked of the shared tier each time
			if status, err := regular.ask("GET", target, ""); status != want || err != nil {
				t.Errorf("%s: GET %s answered %d, error %v", when, target, status, err)
			}
		}
	}
	for range 3 { // into memory
		answered("before")
	}

	// The kernel takes connections that nobody accepts, so opening succeeds.
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			_ = c.Close()
		}
	}()
	const complaint = "cannot accept connections, waiting"
	testkit.Eventually(t, 30*time.Second, "the server complains", func() bool {
		if len(crowd) < 4*files {
			c, err := net.DialTimeout("tcp", o.public, 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			crowd = append(crowd, c)
		}
		return strings.Contains(o.logs(), complaint)
	})
	t.Logf("%d connections exhausted %d descriptors", len(crowd), files)
	for range 20 {
		answered("without descriptors")
	}

	for _, c := range crowd {
		_ = c.Close()
	}
	newcomer, err := o.visit()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = newcomer.conn.Close() }()
	if status, err := newcomer.ask("GET", "/user/1", ""); status != http.StatusOK || err != nil {
		t.Errorf("with descriptors again: answered %d, error %v", status, err)
	}
	answered("with descriptors again")
	testkit.Eventually(t, 30*time.Second, "the connections are gone", func() bool {
		return o.metric("process_open_fds") <= before+8 // our two, and what the database has opened
	})
}

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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/testkit"
)

// instance is the program itself, run as an operator runs it, in a process of
// its own.
type instance struct {
	tb     testing.TB
	cmd    *exec.Cmd
	public string // socket
	admin  string
	http   *http.Client // the host in a URL, public or admin, names the socket
}

// startInstance starts one with the demo's configuration and a Redis, and
// returns when it is ready. env overrides keys.
func startInstance(tb testing.TB, redis *testkit.RedisServer, env ...string) *instance {
	tb.Helper()
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		tb.Fatal(err)
	}
	in := launch(tb, string(manual), append([]string{"HEARTH_REDIS_URL=" + redis.URL()}, env...)...)
	in.awaitReady()
	return in
}

// launch starts one with a configuration of the test's own and does not wait
// for it. env overrides keys; where it listens is set here.
func launch(tb testing.TB, config string, env ...string) *instance {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	return launchIn(tb, dir, env...)
}

// launchIn is launch where the configuration, or what stands for it, is in dir
// already.
func launchIn(tb testing.TB, dir string, env ...string) *instance {
	tb.Helper()
	log, err := os.Create(filepath.Join(dir, "hearth.log"))
	if err != nil {
		tb.Fatal(err)
	}
	in := &instance{tb: tb, public: filepath.Join(dir, "public.sock"), admin: filepath.Join(dir, "admin.sock")}
	in.http = &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				socket := in.public
				if strings.HasPrefix(addr, "admin:") {
					socket = in.admin
				}
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
	}
	in.cmd = exec.Command("hearth", "-config", filepath.Join(dir, "config.toml")) // TestMain puts it into PATH
	in.cmd.Env = append(os.Environ(), "HEARTH_SERVER_LISTEN=unix:"+in.public, "HEARTH_SERVER_ADMIN=unix:"+in.admin)
	in.cmd.Env = append(in.cmd.Env, env...)
	in.cmd.Stdout, in.cmd.Stderr = log, log
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := in.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.http.CloseIdleConnections()
		in.kill()
		_ = log.Close()
		if tb.Failed() {
			out, _ := os.ReadFile(log.Name())
			tb.Logf("an instance printed:\n%s", out[max(0, len(out)-4<<10):])
		}
	})
	return in
}

// patience bounds every wait for a process; it is long because a loaded
// machine is no fault of the code under test.
const patience = 30 * time.Second

// awaitReady returns when the instance has reached all that it needs.
func (in *instance) awaitReady() {
	in.tb.Helper()
	testkit.Eventually(in.tb, patience, "the instance is ready", func() bool {
		return in.send("admin", http.MethodGet, "/readyz", "").code == http.StatusOK
	})
}

// reply is what an instance said to one request.
type reply struct {
	code   int
	body   string
	tiers  string // Cache-Status
	header http.Header
	err    error // instead of all that: nobody answered
}

func (r reply) String() string {
	if r.err != nil {
		return "by nobody: " + r.err.Error()
	}
	return fmt.Sprintf("%d %s (Cache-Status %q)", r.code, r.body, r.tiers)
}

// unmarked tells whether the answer claims to be true now.
func (r reply) unmarked() bool { return unmarked(r.tiers) }

// fromMemory tells whether it is a copy in the instance's own memory that
// claims to be true now.
func (r reply) fromMemory() bool {
	return strings.HasPrefix(r.tiers, "Hearth-Memory; hit") && r.unmarked()
}

func (in *instance) get(path string) reply { return in.ask(http.MethodGet, path, "") }

// ask sends one request to the public listener and waits for the answer. It
// may be called from any goroutine.
func (in *instance) ask(method, path, body string) reply {
	return in.send("public", method, path, body)
}

// begin is ask that does not wait.
func (in *instance) begin(method, path, body string) <-chan reply {
	said := make(chan reply, 1)
	go func() { said <- in.ask(method, path, body) }()
	return said
}

func (in *instance) send(listener, method, path, body string) reply {
	req, err := http.NewRequest(method, "http://"+listener+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Host = "localhost"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := in.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return reply{code: resp.StatusCode, body: string(text), tiers: resp.Header.Get("Cache-Status"), header: resp.Header, err: err}
}

// kill ends the process at once, as a power cut would, and waits until it is
// gone. A second time it does nothing.
func (in *instance) kill() {
	_ = in.cmd.Process.Kill()
	_ = in.cmd.Wait()
}

// client is one keep-alive connection to an instance.
type client struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
	resp fasthttp.Response
}

func (in *instance) dial() *client {
	conn, err := net.Dial("unix", in.public)
	if err != nil {
		in.tb.Fatal(err)
	}
	in.tb.Cleanup(func() { _ = conn.Close() })
	return &client{tb: in.tb, conn: conn, in: bufio.NewReader(conn)}
}

// get returns body and Cache-Status; both are the client's until the next one.
func (c *client) get(path string) (body, status string) {
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		c.tb.Error(err)
		return "", ""
	}
	if err := c.resp.Read(c.in); err != nil {
		c.tb.Error(err)
		return "", ""
	}
	return string(c.resp.Body()), string(c.resp.Header.Peek("Cache-Status"))
}

// unmarked tells whether an answer claims to be true now.
func unmarked(status string) bool {
	return !strings.Contains(status, "detail=stale") && !strings.Contains(status, "detail=untracked")
}

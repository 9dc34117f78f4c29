package deploy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"hearth/internal/testkit"
)

// start starts a command that ends with the test binary at the latest, and returns
// what is closed when it has ended and was reaped. The kernel sends the death
// signal when the thread that forked ends, so one goroutine keeps its thread
// until then.
func start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return done, <-started
}

// door is how a server's public listener is asked; nil is plain HTTP.
type door struct {
	header string // of the PROXY protocol
	tls    *tls.Config
}

// client asks through the door, and scheme is what URLs begin with there.
func (d *door) client() (scheme string, client *http.Client) {
	if d == nil {
		return "http://", http.DefaultClient
	}
	scheme = "http://"
	if d.tls != nil {
		scheme = "https://"
	}
	return scheme, &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: d.tls,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				_, err = io.WriteString(conn, d.header)
			}
			return conn, err
		},
	}}
}

// server is the packaged program, serving from a directory of its own.
type server struct {
	tb    testing.TB
	addr  string // public
	url   string // likewise
	http  *http.Client
	admin string
	pid   int // of the program, also where another one runs it
	ended <-chan struct{}
	log   string
}

// newServer starts the program with a configuration and environment of the test's
// own, and returns when it answers health checks; where it listens is set here. A
// wrapper, if there is one, is the command that runs it.
func newServer(tb testing.TB, config string, env []string, wrapper ...string) *server {
	tb.Helper()
	return newServerBehind(tb, nil, config, env, wrapper...)
}

// newServerBehind is newServer for one whose public listener is asked through d.
func newServerBehind(tb testing.TB, d *door, config string, env []string, wrapper ...string) *server {
	tb.Helper()
	s := startServer(tb, config, env, wrapper...)
	scheme, client := d.client()
	s.url, s.http = scheme+s.addr, client
	tb.Cleanup(client.CloseIdleConnections)
	testkit.Eventually(tb, patience, "the server answers health checks", func() bool {
		if !s.running() {
			tb.Fatal("the server ended before it answered")
		}
		resp, err := s.http.Get(s.url + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// startServer starts the program and does not wait for it.
func startServer(tb testing.TB, config string, env []string, wrapper ...string) *server {
	tb.Helper()
	dir, err := os.MkdirTemp(built, "server-") // which the user of a wrapper can enter
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		tb.Fatal(err)
	}
	s := &server{
		tb:    tb,
		addr:  fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb)),
		admin: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb)),
		log:   filepath.Join(dir, "hearth.log"),
	}
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		tb.Fatal(err)
	}
	out, err := os.Create(s.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer out.Close()
	args := append(wrapper, hearth(tb), "-config", file)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HEARTH_SERVER_LISTEN="+s.addr, "HEARTH_SERVER_ADMIN="+s.admin)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.ended, err = start(cmd); err != nil {
		tb.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	tb.Cleanup(func() {
		if tb.Failed() {
			text, _ := os.ReadFile(s.log)
			tb.Logf("a server printed:\n%s", text[max(0, len(text)-4<<10):])
		}
		if s.running() {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		<-s.ended
	})
	return s
}

// awaitReady returns when the server has reached all that it needs.
func (s *server) awaitReady() {
	s.tb.Helper()
	testkit.Eventually(s.tb, patience, "the server is ready", func() bool {
		resp, err := http.Get("http://" + s.admin + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// running tells whether the process has not ended.
func (s *server) running() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// signal sends the program a signal.
func (s *server) signal(sig syscall.Signal) {
	if s.running() {
		_ = syscall.Kill(s.pid, sig)
	}
}

// kill ends the program at once and waits until it is gone.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.ended
}

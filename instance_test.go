package main

import (
	"bufio"
	"context"
	"fmt"
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

// instance is the program itself, run as an operator runs it, with the demo's
// configuration and a Redis.
type instance struct {
	tb     testing.TB
	cmd    *exec.Cmd
	public string // socket
	admin  string
}

// startInstance starts one and returns when it is ready. env overrides keys.
func startInstance(tb testing.TB, redis *testkit.RedisServer, env ...string) *instance {
	tb.Helper()
	dir := tb.TempDir()
	manual, err := os.ReadFile("config.toml")
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), manual, 0o600); err != nil {
		tb.Fatal(err)
	}
	in := &instance{tb: tb, public: filepath.Join(dir, "public.sock"), admin: filepath.Join(dir, "admin.sock")}
	in.cmd = exec.Command("hearth", "-config", filepath.Join(dir, "config.toml")) // TestMain puts it into PATH
	in.cmd.Env = append(os.Environ(), "HEARTH_REDIS_URL="+redis.URL(), "HEARTH_SERVER_LISTEN=unix:"+in.public, "HEARTH_SERVER_ADMIN=unix:"+in.admin)
	in.cmd.Env = append(in.cmd.Env, env...)
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := in.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.cmd.Process.Kill()
		_ = in.cmd.Wait()
	})
	ready := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", in.admin)
	}}, Timeout: 5 * time.Second}
	testkit.Eventually(tb, 20*time.Second, "the instance is ready", func() bool {
		resp, err := ready.Get("http://localhost/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	ready.CloseIdleConnections()
	return in
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

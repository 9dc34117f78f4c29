package deploy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// door is how a server's public listener is asked; the zero value is plain HTTP.
type door struct {
	header string // of the PROXY protocol
	tls    *tls.Config
}

// client asks through the door, and scheme is what URLs begin with there.
func (d door) client() (scheme string, client *http.Client) {
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
	*launch.Instance
	url  string       // of the public listener
	http *http.Client // through its door
	pid  int          // of the program, also where another one runs it
}

// newServer starts the program with a configuration and environment of the test's
// own, and returns when it answers health checks.
func newServer(tb testing.TB, config string, env ...string) *server {
	tb.Helper()
	return newServerBehind(tb, door{}, config, env)
}

// newServerBehind is newServer for one whose public listener is asked through d. A
// wrapper, if there is one, is the command that runs it, maybe as another user.
func newServerBehind(tb testing.TB, d door, config string, env []string, wrapper ...string) *server {
	tb.Helper()
	dir, err := os.MkdirTemp(built, "server-") // which the user of a wrapper can enter
	err = errors.Join(err, os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o644))
	must(tb, err)
	in := launch.Program{Dir: dir, Env: env, Path: hearth(tb), Wrapper: wrapper, Public: launch.Port, Admin: launch.Port}.Start(tb)
	s := &server{Instance: in, pid: in.Pid()}
	scheme, client := d.client()
	s.url, s.http = scheme+s.Public, client
	tb.Cleanup(client.CloseIdleConnections)
	testkit.Eventually(tb, patience, "the server answers health checks", func() bool {
		if !s.Running() {
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

// signal sends the program a signal, whatever runs it.
func (s *server) signal(sig syscall.Signal) {
	if s.Running() {
		_ = syscall.Kill(s.pid, sig)
	}
}

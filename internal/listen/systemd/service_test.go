package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/listen/systemd"
)

// serviceVariable makes the test binary a service, see TestMain.
const serviceVariable = "HEARTH_SYSTEMD_TEST_SERVICE"

// service is what a service does with this package: it takes its sockets over,
// answers its process id on the public one and "operators" on the other, feeds the
// watchdog, and drains when it is asked to end.
func service() error {
	sockets, err := systemd.Inherited()
	if err != nil {
		return err
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if _, ok := os.LookupEnv(name); ok {
			return fmt.Errorf("%s is still set", name)
		}
	}
	if again, err := systemd.Inherited(); err != nil || again != (systemd.Sockets{}) {
		return fmt.Errorf("taken over twice: %v, %w", again, err)
	}
	if sockets.Public == nil || sockets.Admin == nil {
		return fmt.Errorf("sockets %v, want both", sockets)
	}
	term, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	interval, err := systemd.WatchdogInterval()
	if err != nil || interval <= 0 {
		return fmt.Errorf("watchdog's interval is %v: %w", interval, err)
	}
	answer := func(text string) *fasthttp.Server {
		return &fasthttp.Server{ConnState: listen.ConnState, Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyString(text)
			if term.Err() != nil {
				ctx.SetConnectionClose()
			}
		}}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	public := listen.New(listen.Retrying(sockets.Public, log), listen.Timeouts{Idle: time.Minute})
	public.Open()
	served := make(chan error, 2)
	publicServer, adminServer := answer(strconv.Itoa(os.Getpid())), answer("operators")
	go func() { served <- publicServer.Serve(public) }()
	go func() { served <- adminServer.Serve(sockets.Admin) }()
	if err := systemd.Notify(systemd.Ready); err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for term.Err() == nil {
		select {
		case <-term.Done():
		case <-tick.C:
			if err := systemd.Notify(systemd.Alive); err != nil {
				return err
			}
		}
	}
	finish, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(systemd.Notify(systemd.Stopping), public.StopAccepting(), public.Quiesce(finish, 0),
		publicServer.Shutdown(), adminServer.Shutdown(), public.Close(), <-served, <-served)
}

// serviceManager is systemd for one service: it keeps sockets, starts processes
// with them, and hears what they say.
type serviceManager struct {
	t       *testing.T
	public  *net.TCPListener
	admin   *net.UnixListener
	notices *net.UnixConn
	path    string // of NOTIFY_SOCKET
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	m := &serviceManager{t: t, path: filepath.Join(t.TempDir(), "notify")}
	m.notices = manager(t, m.path)
	m.public = mustListen(t, "127.0.0.1:0").(*net.TCPListener)
	m.admin = mustListen(t, "unix:"+filepath.Join(t.TempDir(), "admin.sock")).(*net.UnixListener)
	return m
}

// start starts the service and waits until it is ready. The descriptors go in
// the wrong order: the names count.
func (m *serviceManager) start() *exec.Cmd {
	m.t.Helper()
	admin, err := m.admin.File()
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	public, err := m.public.File()
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = public.Close() }()
	// Only the process itself knows its id before it runs; exec keeps it.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), serviceVariable+"=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=admin:public",
		"NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=40000")
	cmd.ExtraFiles = []*os.File{admin, public}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = cmd.Process.Kill() }) // ended already, if all went well
	m.await(systemd.Ready)
	return cmd
}

// await reads notices up to one of that state.
func (m *serviceManager) await(state string) {
	m.t.Helper()
	for {
		if got := receive(m.t, m.notices); got == state {
			return
		} else if got != systemd.Alive {
			m.t.Fatalf("the service says %q, want %q", got, state)
		}
	}
}

func (m *serviceManager) stop(cmd *exec.Cmd) {
	m.t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	m.await(systemd.Stopping)
	if err := cmd.Wait(); err != nil {
		m.t.Errorf("the service ended with %v", err)
	}
}

// answer reads what was answered to a request sent before.
func answer(t *testing.T, c net.Conn) string {
	t.Helper()
	t.Helper()
	said, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(said), "\r\n\r\n")
	return body
}

// TestServiceManager starts a service on sockets that were there before it, and
// again after its end: connections wait in the sockets for whoever comes.
func TestServiceManager(t *testing.T) {
	m := newServiceManager(t)
	early := send(t, m.public.Addr(), lastRequest)
	first := m.start()
	if got, want := answer(t, early), strconv.Itoa(first.Process.Pid); got != want {
		t.Errorf("who came early was answered by %q, want %q", got, want)
	}
	if got := answer(t, send(t, m.admin.Addr(), lastRequest)); got != "operators" {
		t.Errorf("on the admin socket: answered %q", got)
	}
	m.await(systemd.Alive)
	kept := send(t, m.public.Addr(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := kept.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, kept); _ = kept.Close() }() // a peer that sees the end
	m.stop(first)

	between := send(t, m.public.Addr(), lastRequest)
	if _, err := os.Lstat(m.admin.Addr().String()); err != nil {
		t.Errorf("the file of the socket is gone: %v", err)
	}
	second := m.start()
	if got, want := answer(t, between), strconv.Itoa(second.Process.Pid); got != want {
		t.Errorf("who came in between was answered by %q, want %q", got, want)
	}
	if got := answer(t, send(t, m.admin.Addr(), lastRequest)); got != "operators" {
		t.Errorf("on the admin socket of the second: answered %q", got)
	}
	m.stop(second)
}

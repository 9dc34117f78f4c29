package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// manager is as much of a service manager as a service sees of it: it opens the
// sockets and keeps them, passes them to one process after the other, and listens
// to what that says of itself.
type manager struct {
	tb            testing.TB
	dir           string
	public, admin *net.TCPListener
	notify        *net.UnixConn
	said          chan string // by the process, one state after the other
	cmd           *exec.Cmd
	log           *os.File
	http          *http.Client
	fed           int // how often await has met the watchdog's food
}

// newManager opens the sockets of a unit with this configuration. Nothing runs.
func newManager(t *testing.T, config string) *manager {
	t.Helper()
	m := &manager{tb: t, dir: t.TempDir(), said: make(chan string, 1000), http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	open := func() *net.TCPListener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l.(*net.TCPListener)
	}
	m.public, m.admin = open(), open()
	var err error
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(m.dir, "notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	if m.log, err = os.Create(filepath.Join(m.dir, "log")); err != nil {
		t.Fatal(err)
	}
	m.write(config)
	go m.listen()
	t.Cleanup(m.end)
	return m
}

func (m *manager) end() {
	m.http.CloseIdleConnections()
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
	}
	_ = m.public.Close()
	_ = m.admin.Close()
	_ = m.notify.Close()
	for range m.said { // until listen has ended
	}
	_ = m.log.Close()
	if out, _ := os.ReadFile(m.log.Name()); m.tb.Failed() {
		m.tb.Logf("the service printed:\n%s", out[max(0, len(out)-4<<10):])
	}
}

func (m *manager) listen() {
	defer close(m.said)
	b := make([]byte, 4096)
	for {
		n, err := m.notify.Read(b)
		if err != nil {
			return
		}
		m.said <- string(b[:n])
	}
}

func (m *manager) write(config string) {
	if err := os.WriteFile(filepath.Join(m.dir, "config.toml"), []byte(config), 0o600); err != nil {
		m.tb.Fatal(err)
	}
}

// start starts the service as systemd does a unit with Type=notify, WatchdogSec=
// and two sockets.
func (m *manager) start(env ...string) {
	m.tb.Helper()
	// The number of the process has to be in its environment, and is known to itself only.
	m.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=${WATCHDOG_PID:-$$} exec hearth -config config.toml`)
	m.cmd.Dir = m.dir
	m.cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin", "NOTIFY_SOCKET="+filepath.Join(m.dir, "notify"))
	m.cmd.Env = append(m.cmd.Env, env...)
	for _, l := range []*net.TCPListener{m.public, m.admin} {
		f, err := l.File()
		if err != nil {
			m.tb.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		m.cmd.ExtraFiles = append(m.cmd.ExtraFiles, f)
	}
	m.cmd.Stdout, m.cmd.Stderr = m.log, m.log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	m.await("READY=1")
}

// stop asks the service to end, as systemd does, and waits until it has.
func (m *manager) stop() {
	m.tb.Helper()
	m.signal(syscall.SIGTERM)
	m.await("STOPPING=1")
	if err := m.cmd.Wait(); err != nil {
		m.tb.Fatalf("the service ended with %v", err)
	}
	m.cmd = nil
}

func (m *manager) signal(s syscall.Signal) {
	m.tb.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.tb.Fatal(err)
	}
}

// await returns the next state but WATCHDOG=1, which must begin like that.
func (m *manager) await(want string) string {
	m.tb.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case got := <-m.said:
			if got == "WATCHDOG=1" {
				m.fed++
				if want != got {
					continue
				}
			}
			if !strings.HasPrefix(got, want) {
				m.tb.Fatalf("the service says %q, want %q", got, want)
			}
			return got
		case <-timer.C:
			m.tb.Fatalf("the service does not say %q", want)
		}
	}
}

func (m *manager) get(path string) (int, error) {
	res, err := m.http.Get("http://" + m.public.Addr().String() + path)
	if err != nil {
		return 0, err
	}
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	_ = res.Body.Close()
	return res.StatusCode, err
}

const unit = `
[server]
listen = "127.0.0.1:1"
admin = "127.0.0.1:2"
drain = "10m"
[embedded]
path = "tier.db"
[database]
url = "sqlite:demo.db"
demo = true
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id FROM users WHERE id = {user_id}"
`

// TestServiceManager plays the life of a unit: it serves on the sockets that it is
// given, whatever its configuration says, feeds the watchdog, says when a reload
// begins and when it is over, whether it succeeds or not, and ends without the
// delay that only a server on a socket of its own needs.
func TestServiceManager(t *testing.T) {
	m := newManager(t, unit)
	m.start("WATCHDOG_USEC=200000")
	if code, err := m.get("/user/1"); code != http.StatusOK || err != nil {
		t.Errorf("on the passed socket: %d, %v", code, err)
	}
	for range 3 {
		m.await("WATCHDOG=1")
	}
	for _, c := range []struct{ config, status string }{
		{unit, "STATUS=serving"},
		{unit + "nonsense = 1\n", "STATUS=serving; the last reload failed"},
		{strings.Replace(unit, "127.0.0.1:1", "127.0.0.1:3", 1), "STATUS=serving"}, // the socket stays what it is
	} {
		m.write(c.config)
		m.signal(syscall.SIGHUP)
		began := m.await("RELOADING=1\nMONOTONIC_USEC=")
		if _, err := strconv.ParseUint(began[strings.LastIndex(began, "=")+1:], 10, 64); err != nil {
			t.Errorf("the reload begins with %q", began)
		}
		if over := m.await("READY=1"); !strings.Contains(over, c.status) {
			t.Errorf("the reload ends with %q, want %q", over, c.status)
		}
	}
	m.stop()
}

// TestNoWatchdogIsFedForOthers: what asks another process for a sign of life is
// not meant for this one.
func TestNoWatchdogIsFedForOthers(t *testing.T) {
	m := newManager(t, unit)
	m.start("WATCHDOG_USEC=1000", "WATCHDOG_PID=1")
	for range 100 {
		if code, err := m.get("/user/1"); code != http.StatusOK || err != nil {
			t.Fatalf("%d, %v", code, err)
		}
	}
	m.stop()
	if m.fed > 0 {
		t.Errorf("fed %d times", m.fed)
	}
}

// TestWatchdogIsFedWhateverOthersDo: who holds all connections of the admin
// listener must not get the public one restarted.
func TestWatchdogIsFedWhateverOthersDo(t *testing.T) {
	m := newManager(t, unit)
	m.start("WATCHDOG_USEC=200000")
	for range 1100 {
		conn, err := net.Dial("tcp", m.admin.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	testkit.Eventually(t, patience, "the admin listener is full", func() bool {
		res, err := client.Get("http://" + m.admin.Addr().String() + "/livez")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusServiceUnavailable
	})
	for len(m.said) > 0 { // what was said before
		<-m.said
	}
	for range 10 {
		m.await("WATCHDOG=1")
	}
	m.stop()
}

// TestSocketOutlivesTheService restarts the service under load. Who connects while
// nobody is there waits in the socket's queue; whoever is connected is told to
// come again before the connection ends. No request is refused or lost.
func TestSocketOutlivesTheService(t *testing.T) {
	m := newManager(t, unit)
	m.start()
	var asked, failed atomic.Int64
	var first atomic.Value
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan struct{})
	const clients = 8
	for c := range clients {
		go func() {
			defer func() { over <- struct{}{} }()
			for i := 0; ctx.Err() == nil; i++ {
				code, err := m.get("/user/" + strconv.Itoa(1+(i+c)%20))
				asked.Add(1)
				if code != http.StatusOK || err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, strconv.Itoa(code)+" "+errorText(err))
				}
			}
		}()
	}
	for range 5 {
		before := asked.Load()
		testkit.Eventually(t, patience, "requests are answered", func() bool { return asked.Load() > before+500 })
		m.stop()
		m.start()
	}
	stop()
	for range clients {
		<-over
	}
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, first: %v", n, asked.Load(), first.Load())
	}
	t.Logf("%d requests over five restarts", asked.Load())
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

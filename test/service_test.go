package test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit/launch"
)

// manager is as much of a service manager as a service sees of it: it opens the
// sockets and keeps them, passes them to one process after the other, and listens
// to what that says of itself.
type manager struct {
	t             *testing.T
	dir           string
	public, admin *net.TCPListener
	notify        *net.UnixConn
	said          chan string // by the process, one state after the other
	run           *launch.Instance
	http          *http.Client
	fed           int // how often await has met the watchdog's food
}

// newManager opens the sockets of a unit. Nothing runs.
func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, dir: t.TempDir(), said: make(chan string, 1000), http: &http.Client{Timeout: launch.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	open := func() *net.TCPListener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { _ = l.Close() })
		return l.(*net.TCPListener)
	}
	m.public, m.admin = open(), open()
	var err error
	m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(m.dir, "notify"), Net: "unixgram"})
	must(t, err)
	m.write(unit)
	go m.listen()
	t.Cleanup(func() {
		m.http.CloseIdleConnections()
		_ = m.notify.Close()
		for range m.said { // until listen has ended
		}
	})
	return m
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

func (m *manager) write(config string) { write(m.t, filepath.Join(m.dir, "config.toml"), config) }

// start starts the service as systemd does a unit with Type=notify, WatchdogSec=
// and two sockets.
func (m *manager) start(env ...string) {
	m.t.Helper()
	p := launch.Program{
		Dir: m.dir, Public: launch.AsConfigured, Admin: launch.AsConfigured,
		Env: append(env, "LISTEN_FDS=2", "LISTEN_FDNAMES=public:admin", "NOTIFY_SOCKET="+filepath.Join(m.dir, "notify")),
		// The number of the process has to be in its environment, and is known to itself only.
		Wrapper: []string{"sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=${WATCHDOG_PID:-$$} exec "$0" "$@"`},
	}
	for _, l := range []*net.TCPListener{m.public, m.admin} {
		f, err := l.File()
		must(m.t, err)
		defer func() { _ = f.Close() }()
		p.Files = append(p.Files, f)
	}
	m.run = p.Start(m.t)
	m.await("READY=1")
}

// stop asks the service to end, as systemd does, and waits until it has.
func (m *manager) stop() {
	m.t.Helper()
	m.run.Signal(syscall.SIGTERM)
	m.await("STOPPING=1")
	if got := m.run.Wait(); got != 0 {
		m.t.Fatalf("the service ended with %#x", int(got))
	}
}

// await returns the next state but WATCHDOG=1, which must begin like that.
func (m *manager) await(want string) string {
	m.t.Helper()
	timer := time.NewTimer(launch.Patience)
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
				m.t.Fatalf("the service says %q, want %q", got, want)
			}
			return got
		case <-timer.C:
			m.t.Fatalf("the service does not say %q", want)
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
` + demoUsers

// TestServiceManager plays the life of a unit: it serves on the sockets that it is
// given, whatever its configuration says, feeds the watchdog, says when a reload
// begins and when it is over, whether it succeeds or not, and ends without the
// delay that only a server on a socket of its own needs.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
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
		m.run.Signal(syscall.SIGHUP)
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

// TestNoWatchdogIsFedForOthers: a watchdog of another process (WATCHDOG_PID) is not fed
// by this one.
func TestNoWatchdogIsFedForOthers(t *testing.T) {
	t.Parallel()
	m := newManager(t)
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

// TestWatchdogIsFedWhateverOthersDo: clients that hold all connections of the admin
// listener do not get the service restarted.
func TestWatchdogIsFedWhateverOthersDo(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.start("WATCHDOG_USEC=200000")
	for range 1100 {
		conn, err := net.Dial("tcp", m.admin.Addr().String())
		must(t, err)
		defer func() { _ = conn.Close() }()
	}
	client := http.Client{Timeout: launch.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	await(t, "the admin listener is full", func() bool {
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

// TestSocketOutlivesTheService restarts the service under load. A client that
// connects between two processes waits in the socket's queue; one that is connected is
// told to reconnect before its connection ends. No request is refused or lost.
func TestSocketOutlivesTheService(t *testing.T) {
	t.Parallel()
	m := newManager(t)
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
					first.CompareAndSwap(nil, fmt.Sprint(code, " ", err))
				}
			}
		}()
	}
	for range 5 {
		before := asked.Load()
		await(t, "requests are answered", func() bool { return asked.Load() > before+500 })
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

// hanging starts an instance whose start-up hangs at a configuration file that
// does not answer, and returns once it does so. What is written to it, and its
// end, ends that.
func hanging(t *testing.T) (in *launch.Instance, file *os.File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.toml")
	must(t, syscall.Mkfifo(path, 0o600))
	in = launch.Program{Dir: filepath.Dir(path)}.Start(t)
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // returns when the other end is opened
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return in, file, path
}

// TestAStartUpIsEndedBySignals: the first one ends it in order, with exit status 0, the
// second one at once.
func TestAStartUpIsEndedBySignals(t *testing.T) {
	t.Parallel()
	other := map[syscall.Signal]syscall.Signal{syscall.SIGTERM: syscall.SIGINT, syscall.SIGINT: syscall.SIGTERM}
	for s := range other {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			in, _, _ := hanging(t)
			in.Signal(s)
			if got := in.Wait(); got != 0 {
				t.Errorf("after one signal: %#x, want exit status 0", got)
			}
			in, _, _ = hanging(t)
			in.Signal(s, other[s]) // two of the same signal might arrive as one
			if got := in.Wait(); !got.Signaled() {
				t.Errorf("after more: %#x, want it ended by the signal", got)
			}
		})
	}
}

// TestADrainIsEndedByASecondSignal: the process ends at once.
func TestADrainIsEndedByASecondSignal(t *testing.T) {
	t.Parallel()
	in, file, _ := hanging(t)
	must(t, finish(file, unit))
	in.AwaitReady()
	in.Signal(syscall.SIGTERM)
	// Not by the 503 alone, which it may also answer while it starts: two signals that
	// wait for the process at once are one to the kernel.
	await(t, "it drains", func() bool { return strings.Contains(in.Get("/healthz").Body, "draining") })
	in.Signal(syscall.SIGTERM)
	if got := in.Wait(); !got.Signaled() || got.Signal() != syscall.SIGTERM {
		t.Errorf("got %#x, want it ended by SIGTERM", got)
	}
}

// TestAHangupDuringTheStartUpIsObeyedAfterIt: the file as it is after the start-up is
// served.
func TestAHangupDuringTheStartUpIsObeyedAfterIt(t *testing.T) {
	t.Parallel()
	in, file, path := hanging(t)
	in.Signal(syscall.SIGHUP)
	write(t, path+".new", strings.Replace(unit, "/user/", "/person/", 1))
	must(t, os.Rename(path+".new", path))
	must(t, finish(file, unit))
	await(t, "the later configuration is served", func() bool { return in.Get("/person/1").Code == http.StatusOK })
}

func finish(f *os.File, text string) error {
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Close()
	}
	return err
}

// TestAReloadThatHangsDoesNotKeepTheProcess: the process ends on SIGINT all the same.
func TestAReloadThatHangsDoesNotKeepTheProcess(t *testing.T) {
	t.Parallel()
	in, file, path := hanging(t)
	must(t, finish(file, unit))
	in.AwaitReady()
	in.Signal(syscall.SIGHUP) // at the same file, which hangs again
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	in.Signal(syscall.SIGINT)
	if got := in.Wait(); got != 0 {
		t.Errorf("got %#x, want exit status 0", got)
	}
}

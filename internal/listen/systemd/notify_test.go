package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/listen/systemd"

	"golang.org/x/sys/unix"
)

// manager stands in for systemd's end of NOTIFY_SOCKET.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	for _, name := range []string{path, "@hearth-notify-test-" + strconv.Itoa(os.Getpid())} {
		conn := manager(t, name)
		for _, state := range []string{systemd.Ready, systemd.Stopping, systemd.Alive, "READY=1\nSTATUS=serving"} {
			if err := systemd.Notify(state); err != nil {
				t.Fatalf("Notify(%q) over %q: %v", state, name, err)
			}
			if got := receive(t, conn); got != state {
				t.Errorf("received %q, want %q", got, state)
			}
		}
	}
}

func TestNotifyReloadingCarriesTheTime(t *testing.T) {
	conn := manager(t, filepath.Join(t.TempDir(), "notify"))
	before := monotonic(t)
	if err := systemd.Notify(systemd.Reloading + "\nSTATUS=reading"); err != nil {
		t.Fatal(err)
	}
	got := receive(t, conn)
	text, found := strings.CutPrefix(got, "RELOADING=1\nSTATUS=reading\nMONOTONIC_USEC=")
	usec, err := strconv.ParseInt(text, 10, 64)
	if !found || err != nil || usec < before || usec > monotonic(t) {
		t.Errorf("received %q, want the state and the monotonic time in microseconds", got)
	}
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestNotifyWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := systemd.Notify(systemd.Ready); err != nil {
		t.Errorf("Notify = %v, want nil where nobody asked", err)
	}
}

func TestNotifyErrors(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := systemd.Notify(systemd.Ready); err == nil || !strings.Contains(err.Error(), "notifying the service manager") {
		t.Errorf("Notify = %v, want an error: nobody is there", err)
	}
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1234")
	if err := systemd.Notify(systemd.Ready); err == nil || !strings.Contains(err.Error(), "NOTIFY_SOCKET") {
		t.Errorf("Notify = %v, want an error that names NOTIFY_SOCKET", err)
	}
}

func TestWatchdogInterval(t *testing.T) {
	f := func(usec, pid string, want time.Duration, bad bool) {
		t.Helper()
		t.Setenv("WATCHDOG_USEC", usec)
		t.Setenv("WATCHDOG_PID", pid)
		got, err := systemd.WatchdogInterval()
		if got != want || (err != nil) != bad {
			t.Errorf("interval for %q, %q = %v, %v; want %v, error: %v", usec, pid, got, err, want, bad)
		}
	}
	me := strconv.Itoa(os.Getpid())
	f("", "", 0, false)
	f("20000000", "", 10*time.Second, false)
	f("20000000", me, 10*time.Second, false)
	f("20000000", "1", 0, false)
	f("0", "", 0, true)
	f("-5", "", 0, true)
	f("soon", me, 0, true)
	f("9223372036854775807", "", 0, true)
}

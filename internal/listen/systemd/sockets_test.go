package systemd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// environment is one to look up in.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range pairs {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

func TestAssign(t *testing.T) {
	f := func(names string, want ...string) {
		t.Helper()
		got, err := assignRoles(len(want), environment("LISTEN_FDNAMES="+names))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, error %v; want %q", names, got, err, want)
		}
	}
	f("public", "public")
	f("admin", "admin")
	f("public:admin", "public", "admin")
	f("admin:public", "admin", "public")
	f("", "public")
	f("", "public", "admin")
	f("unknown:unknown", "public", "admin")
	f("hearth.socket", "public")
	f("hearth.socket:hearth.socket", "public", "admin")
	f("hearth.socket:public", "admin", "public")
	f("admin:hearth.socket", "admin", "public")

	bad := func(count int, names string, want ...string) {
		t.Helper()
		got, err := assignRoles(count, environment("LISTEN_FDNAMES="+names))
		if err == nil {
			t.Errorf("%q: %q, want an error", names, got)
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: error %q lacks %q", names, err, part)
			}
		}
	}
	bad(2, "public:public", `two are named "public"`, "FileDescriptorName=admin")
	bad(2, "public:metrics", `named "metrics"`, "FileDescriptorName=")
	bad(1, "connection", `named "connection"`)
	bad(2, "hearth.socket:hearth-admin.socket", "two units", "FileDescriptorName=admin")
	bad(3, "public:admin:other", "there are 3", "ListenStream=")
	bad(2, "public", "LISTEN_FDNAMES", "want 2 names")
}

func TestPassed(t *testing.T) {
	f := func(want int, bad string, pairs ...string) {
		t.Helper()
		got, err := passedCount(42, environment(pairs...))
		if got != want || (err == nil) != (bad == "") || err != nil && !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %d, error %v; want %d, %q", pairs, got, err, want, bad)
		}
	}
	f(0, "")
	f(0, "", "LISTEN_FDS=2")
	f(0, "", "LISTEN_PID=41", "LISTEN_FDS=2")
	f(0, "", "LISTEN_PID=41", "LISTEN_FDS=many")
	f(0, "", "LISTEN_PID=42")
	f(0, "", "LISTEN_PID=42", "LISTEN_FDS=0")
	f(2, "", "LISTEN_PID=42", "LISTEN_FDS=2")
	f(0, `LISTEN_PID is "me"`, "LISTEN_PID=me", "LISTEN_FDS=2")
	f(0, `LISTEN_PID is "-42"`, "LISTEN_PID=-42", "LISTEN_FDS=2")
	f(0, `LISTEN_FDS is "many"`, "LISTEN_PID=42", "LISTEN_FDS=many")
	f(0, `LISTEN_FDS is "-1"`, "LISTEN_PID=42", "LISTEN_FDS=-1")
	f(0, `LISTEN_FDS is "99999999"`, "LISTEN_PID=42", "LISTEN_FDS=99999999")
}

// passDescriptors puts descriptors side by side from far on, as a manager does
// from 3 on. They are inherit's to close.
func passDescriptors(t *testing.T, fds ...int) {
	t.Helper()
	for i, fd := range fds {
		if err := unix.Dup3(fd, far+i, 0); err != nil { // without close-on-exec, as they come
			t.Fatal(err)
		}
	}
}

// far is where this process has opened nothing.
const far = 700

func open(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// descriptorOf is a descriptor of what can give a file, to the end of the test.
func descriptorOf(t *testing.T, f interface{ File() (*os.File, error) }) int {
	t.Helper()
	file, err := f.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return int(file.Fd())
}

func TestInherit(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	path := filepath.Join(t.TempDir(), "s.sock")
	local, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = local.Close() }()
	passDescriptors(t, descriptorOf(t, local.(*net.UnixListener)), descriptorOf(t, tcp.(*net.TCPListener)))
	s, err := inherit(42, environment("LISTEN_PID=42", "LISTEN_FDS=2", "LISTEN_FDNAMES=admin:public"), far)
	if err != nil {
		t.Fatal(err)
	}
	if open(far) || open(far+1) {
		t.Error("what was passed is still open beside the listeners")
	}
	if s.Public.Addr().String() != tcp.Addr().String() || s.Admin.Addr().String() != path {
		t.Errorf("public %v, admin %v", s.Public.Addr(), s.Admin.Addr())
	}
	peer, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	conn, err := s.Public.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn() // the type is what writev needs
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name, want int) {
		t.Helper()
		got, optErr := 0, error(nil)
		err := raw.Control(func(fd uintptr) { got, optErr = unix.GetsockoptInt(int(fd), level, name) })
		if err = errors.Join(err, optErr); err != nil || got != want {
			t.Errorf("option %d/%d = %d, error %v; want %d", level, name, got, err, want)
		}
	}
	option(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30)
	option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 10)
	option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("closing our copy took the file away: %v", err)
	}
	after, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatalf("closing our copy ended the manager's: %v", err)
	}
	_ = after.Close()
}

func TestInheritRefuses(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	good := descriptorOf(t, tcp.(*net.TCPListener))
	f := func(names, want string, fds ...int) {
		t.Helper()
		passDescriptors(t, fds...)
		s, err := inherit(42, environment("LISTEN_PID=42", "LISTEN_FDS="+strconv.Itoa(len(fds)), "LISTEN_FDNAMES="+names), far)
		if err == nil || !strings.Contains(err.Error(), want) || s != (Sockets{}) {
			t.Errorf("sockets %v, error %v; want %q", s, err, want)
		}
		for i := range fds {
			if open(far + i) {
				t.Errorf("after %q: descriptor %d is left open", want, i)
			}
		}
	}
	socket := func(family, kind int) int {
		t.Helper()
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return fd
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	f("public:admin", "socket 2: it is no socket", good, int(file.Fd()))
	f("public:admin", "ListenStream=", good, socket(unix.AF_INET, unix.SOCK_DGRAM))
	f("public", "stream socket", socket(unix.AF_UNIX, unix.SOCK_SEQPACKET))
	f("public", "stream socket", socket(unix.AF_NETLINK, unix.SOCK_RAW))
	f("public", "Accept=no", socket(unix.AF_INET6, unix.SOCK_STREAM))
	f("public:public", "two are named", good, good)
	f("public:admin:x", "there are 3", good, good, good)
	// A number that was not passed at all.
	if _, err := inherit(42, environment("LISTEN_PID=42", "LISTEN_FDS=1"), far); !errors.Is(err, syscall.EBADF) {
		t.Errorf("error %v, want a bad descriptor", err)
	}
}

// FuzzActivation: whatever the environment says, each socket gets a part of its
// own, or there is an error.
func FuzzActivation(f *testing.F) {
	f.Add("42", "2", "admin:public")
	f.Fuzz(func(t *testing.T, pid, count, names string) {
		lookup := environment("LISTEN_PID="+pid, "LISTEN_FDS="+count, "LISTEN_FDNAMES="+names)
		n, err := passedCount(42, lookup)
		if err != nil || n == 0 {
			if n != 0 {
				t.Fatalf("%d sockets and error %v", n, err)
			}
			return
		}
		if id, err := strconv.Atoi(pid); err != nil || id != 42 {
			t.Fatalf("took over %d sockets of process %q", n, pid)
		}
		roles, err := assignRoles(n, lookup)
		if err != nil {
			return
		}
		if len(roles) != n || n > 2 {
			t.Fatalf("%d parts for %d sockets", len(roles), n)
		}
		for i, role := range roles {
			if role != "public" && role != "admin" || slices.Contains(roles[:i], role) {
				t.Fatalf("%q: parts %q", names, roles)
			}
			given := names
			if n == 2 {
				given = strings.Split(names+":", ":")[i]
			}
			if (given == "public" || given == "admin") && given != role {
				t.Fatalf("socket %d is named %q and became %q", i, given, role)
			}
		}
	})
}

// FuzzWatchdog: an interval is positive, and half of what was asked for.
func FuzzWatchdog(f *testing.F) {
	f.Add("20000000", "42")
	f.Fuzz(func(t *testing.T, usec, pid string) {
		interval, err := watchdogInterval(42, usec, pid)
		if err != nil || interval == 0 {
			if interval != 0 {
				t.Fatalf("%v and error %v", interval, err)
			}
			return
		}
		want, err := strconv.ParseInt(usec, 10, 64)
		if got := interval.Nanoseconds(); err != nil || got <= 0 || got/500 != want || pid != "" && mustInt(pid) != 42 {
			t.Fatalf("%q, %q: %v", usec, pid, interval)
		}
	})
}

func mustInt(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

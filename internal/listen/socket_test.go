package listen_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/listen"
)

// exchange proves that l answers: it dials and passes one byte through.
func exchange(t *testing.T, l net.Listener) {
	t.Helper()
	client, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func mustListen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := listen.Listen(addr, "server.listen", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestListenTCP(t *testing.T) {
	l := mustListen(t, "127.0.0.1:0")
	if _, ok := l.(*net.TCPListener); !ok {
		t.Errorf("listener is a %T, want a *net.TCPListener", l)
	}
	exchange(t, l)
}

func TestAcceptedConnectionsHaveKeepAlive(t *testing.T) {
	l := mustListen(t, "127.0.0.1:0")
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	f := func(level, option, want int) {
		t.Helper()
		got := 0
		var sockErr error
		if err := raw.Control(func(fd uintptr) { got, sockErr = syscall.GetsockoptInt(int(fd), level, option) }); err != nil || sockErr != nil {
			t.Fatal(err, sockErr)
		}
		if got != want {
			t.Errorf("option %d/%d = %d, want %d", level, option, got, want)
		}
	}
	f(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	f(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30)
	f(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 10)
	f(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3)
	f(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

func TestTakenPortIsNamed(t *testing.T) {
	addr := mustListen(t, "127.0.0.1:0").Addr().String()
	for _, key := range []string{"server.listen", "server.admin"} {
		_, err := listen.Listen(addr, key, 0o600)
		want := `listening on "` + addr + `": address already in use; change ` + key + ` or stop the other process`
		if err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("error %v does not wrap EADDRINUSE", err)
		}
	}
}

func TestBadAddressesAreExplained(t *testing.T) {
	f := func(addr string, want ...string) {
		t.Helper()
		l, err := listen.Listen(addr, "server.admin", 0o600)
		if err == nil {
			_ = l.Close()
			t.Errorf("Listen(%q) succeeded, want an error", addr)
			return
		}
		for _, part := range append(want, "listening on", "server.admin") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("Listen(%q): error %q lacks %q", addr, err, part)
			}
		}
	}
	f("127.0.0.1", "missing port", `"host:port"`)
	f("127.0.0.1:99999", "invalid port")
	f("192.0.2.1:8080", "cannot assign requested address", "address of this machine") // TEST-NET-1 is nobody's
	f("unix:", "no path")
	f("unix:/nowhere/at/all.sock", "no such file or directory")
	f("unix:/"+strings.Repeat("x", 107), "108 bytes")
}

package systemd_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/listen"
)

func TestMain(m *testing.M) {
	if os.Getenv(serviceVariable) != "" {
		if err := service(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
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

// send opens a connection and sends text on it.
func send(t *testing.T, addr net.Addr, text string) net.Conn {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

const lastRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

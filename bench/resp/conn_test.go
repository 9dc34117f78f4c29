package resp

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// converse connects to a server that expects one text, answers with another, and
// hangs up.
func converse(t *testing.T, want, answer string) *Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("the server got %q (error %v), want %q", got, err, want)
		}
		_, _ = io.WriteString(conn, answer)
	}()
	c, err := Dial(l.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = l.Close()
		<-done
	})
	return c
}

func TestDo(t *testing.T) {
	f := func(answer, want, wantErr string) {
		t.Helper()
		got, err := converse(t, "*2\r\n$3\r\nGET\r\n$3\r\n张\r\n", answer).Do("GET", "张")
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: got %q, error %v; want %q, error %q", answer, got, err, want, wantErr)
		}
	}
	f("+OK\r\n", "OK", "")
	f(":-1\r\n", "-1", "")
	f("$4\r\na\r\nb\r\n", "a\r\nb", "")
	f("$0\r\n\r\n", "", "")
	f("$-1\r\n", "", "")
	f("-ERR no\r\n", "", `it answers "ERR no"`)
	f("*0\r\n", "", "is no text")
	f("\r\n", "", "unexpected EOF")
	f("$9\r\nshort", "", "unexpected EOF")
	f("$x\r\n", "", `"x"`)
	f("", "", "EOF")
}

func TestPipeline(t *testing.T) {
	commands := Append(Append(nil, "PING"), "DEL", "a")
	const sent = "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
	if err := converse(t, sent, "+PONG\r\n:1\r\n").Pipeline(commands, 2); err != nil {
		t.Error(err)
	}
	if err := converse(t, sent, "+PONG\r\n-ERR no\r\n").Pipeline(commands, 2); err == nil || !strings.Contains(err.Error(), "ERR no") {
		t.Errorf("got %v, want the error of the second", err)
	}
}

// TestTimeIsBounded asks a server that takes nothing and says nothing.
func TestTimeIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(l.Addr().String(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Do("PING"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want that the time is over", err)
		}
		if err := c.Renew(); err != nil {
			t.Error(err)
		}
	}
}

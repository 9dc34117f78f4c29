package listen_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
)

// failing is a listener whose Accept returns errors first, then connections of
// the real one.
type failing struct {
	net.Listener
	mu     sync.Mutex
	errors []error
	always error         // returned once errors are used up, when set
	asked  chan struct{} // one item per Accept
}

func (l *failing) Accept() (net.Conn, error) {
	l.asked <- struct{}{}
	l.mu.Lock()
	var err error
	if len(l.errors) > 0 {
		err, l.errors = l.errors[0], l.errors[1:]
	} else {
		err = l.always
	}
	l.mu.Unlock()
	if err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestRetryingWaitsOutShortages(t *testing.T) {
	passing := []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.EPERM, syscall.EPROTO, syscall.ENETDOWN,
	}
	real := mustListen(t, "127.0.0.1:0")
	inner := &failing{Listener: real, errors: passing[:4], asked: make(chan struct{}, 100)}
	var log bytes.Buffer
	l := listen.Retrying(inner, slog.New(slog.NewTextHandler(&log, nil)))

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("Accept = %v, want a connection after %v", err, passing[:4])
	}
	defer conn.Close()
	if _, ok := conn.(*net.TCPConn); !ok {
		t.Errorf("connection is a %T, want the *net.TCPConn itself", conn)
	}
	if got, want := l.Waits(), uint64(4); got != want {
		t.Errorf("waits = %d, want %d", got, want)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "LimitNOFILE") {
		t.Errorf("log has %d lines, want one that names LimitNOFILE:\n%s", got, log.String())
	}
	for _, err := range passing {
		inner.errors = append(inner.errors, err)
		again, dialErr := net.Dial("tcp", l.Addr().String())
		if dialErr != nil {
			t.Fatal(dialErr)
		}
		conn, acceptErr := l.Accept()
		if acceptErr != nil {
			t.Errorf("Accept after %v = %v, want a connection", err, acceptErr)
		} else {
			conn.Close()
		}
		again.Close()
	}
}

// TestServerOutlivesAShortage serves with fasthttp, which gives up at the first
// of these errors, behind a retrying listener, which does not let them through.
func TestServerOutlivesAShortage(t *testing.T) {
	serve := func(l net.Listener) error {
		server := &fasthttp.Server{
			Handler:      func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("alive") },
			LogAllErrors: false, Logger: slog.NewLogLogger(quiet().Handler(), slog.LevelDebug),
		}
		return server.Serve(l)
	}
	shortages := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}
	bare := &failing{Listener: silent{}, errors: shortages, asked: make(chan struct{}, 100)}
	if err := serve(bare); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("fasthttp on the bare listener = %v, want EMFILE: else Retrying has no purpose", err)
	}

	inner := &failing{Listener: mustListen(t, "127.0.0.1:0"), errors: shortages, asked: make(chan struct{}, 100)}
	l := listen.Retrying(inner, quiet())
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "alive") {
		t.Errorf("answer = %q, %v; want one that ends in alive", answer, err)
	}
	if got := l.Waits(); got != 3 {
		t.Errorf("waits = %d, want 3", got)
	}
	if err := errors.Join(l.Close(), <-served); err != nil {
		t.Errorf("closing ends serving with %v, want nil", err)
	}
}

// TestRetryingBacksOff measures the pauses on a fake clock.
func TestRetryingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &failing{Listener: silent{}, always: syscall.EMFILE, asked: make(chan struct{})}
		l := listen.Retrying(inner, quiet())
		done := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		<-inner.asked
		want := 5 * time.Millisecond
		for range 12 {
			start := time.Now()
			<-inner.asked
			if got := time.Since(start); got != want {
				t.Errorf("pause = %v, want %v", got, want)
			}
			want = min(2*want, time.Second)
		}
		synctest.Wait() // it is in its pause of one second now
		start := time.Now()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v after Close, want net.ErrClosed", err)
		}
		if got := time.Since(start); got != 0 {
			t.Errorf("Close ended the wait after %v, want at once", got)
		}
	})
}

// silent is a listener that exists only to be closed.
type silent struct{}

func (silent) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (silent) Close() error              { return nil }
func (silent) Addr() net.Addr            { return &net.UnixAddr{Name: "silent", Net: "unix"} }

func TestRetryingLogsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &failing{Listener: silent{}, always: syscall.EMFILE, asked: make(chan struct{})}
		var log bytes.Buffer
		l := listen.Retrying(inner, slog.New(slog.NewTextHandler(&log, nil)))
		done := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		for start := time.Now(); time.Since(start) < 35*time.Second; {
			<-inner.asked
		}
		synctest.Wait()
		l.Close()
		<-done
		if got := strings.Count(log.String(), "\n"); got != 4 {
			t.Errorf("lines in 35 s = %d, want 4 (one per 10 s)", got)
		}
	})
}

func TestRetryingReturnsWhatDoesNotPass(t *testing.T) {
	for _, fatal := range []error{syscall.EBADF, syscall.EINVAL, fmt.Errorf("no number")} {
		inner := &failing{Listener: silent{}, errors: []error{fatal}, asked: make(chan struct{}, 1)}
		if _, err := listen.Retrying(inner, quiet()).Accept(); !errors.Is(err, fatal) {
			t.Errorf("Accept = %v, want %v", err, fatal)
		}
	}
}

func TestRetryingCloseEndsAccept(t *testing.T) {
	l := listen.Retrying(mustListen(t, "127.0.0.1:0"), quiet())
	done := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		done <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want net.ErrClosed", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close = %v, want net.ErrClosed of the inner listener", err)
	}
}

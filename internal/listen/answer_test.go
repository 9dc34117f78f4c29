package listen_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// now is the request that nowAnswerer answers, at once.
const (
	now   = "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"
	later = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
	given = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnow"
)

type nowAnswerer struct{ most int } // answers in one call

func (a nowAnswerer) Answer(_ net.Conn, in, out []byte) (answered int, answers []byte) {
	for n := 0; n < a.most && bytes.HasPrefix(in[answered:], []byte(now)); n++ {
		answered += len(now)
		out = append(out, given...)
	}
	return answered, out
}

// answeringServer serves on l with an Answerer. What comes to fasthttp is noted: requests as
// their paths, faults as an exclamation mark.
type answeringServer struct {
	l    *listen.Listener
	seen atomic.Value // string
}

func answering(t *testing.T, inner net.Listener, timeouts listen.Timeouts) *answeringServer {
	t.Helper()
	return answeringWith(t, inner, nowAnswerer{2}, timeouts)
}

func answeringWith(t *testing.T, inner net.Listener, a listen.Answerer, timeouts listen.Timeouts) *answeringServer {
	t.Helper()
	s := &answeringServer{l: listen.New(inner, timeouts)}
	s.seen.Store("")
	s.l.SetAnswerer(a)
	s.l.Open()
	note := func(what string) { s.seen.Store(s.seen.Load().(string) + what) }
	server := &fasthttp.Server{
		ConnState: listen.ConnState, MaxIdleWorkerDuration: time.Millisecond,
		Handler: func(ctx *fasthttp.RequestCtx) {
			c := ctx.Conn().(interface {
				Handling()
				Writing()
			})
			c.Handling()
			note(string(ctx.Path()))
			ctx.SetBodyString(string(ctx.Path()[1:]))
			c.Writing()
		},
		ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) {
			note("!")
			ctx.SetStatusCode(fasthttp.StatusBadRequest)
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), s.l.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestAnswererComesFirst: what it answers fasthttp does not see, what it leaves fasthttp gets
// from its first byte on, and answers stand in the order of requests, also over TLS.
func TestAnswererComesFirst(t *testing.T) {
	servers := newAuthority(t, "servers")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	f := func(inner net.Listener, dial func(net.Addr) net.Conn) {
		t.Helper()
		s := answering(t, inner, listen.Timeouts{Idle: 200 * time.Millisecond})
		c := dial(inner.Addr())
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, strings.Repeat(now, 5)+later+now+later[:9]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, later[9:]); err != nil {
			t.Fatal(err)
		}
		got := ended(t, c)
		if n := strings.Count(got, "\r\n\r\nnow"); n != 6 || !strings.HasPrefix(got, strings.Repeat(given, 5)) || strings.Count(got, "\r\n\r\nlater") != 2 {
			t.Errorf("answered %q", got)
		}
		if seen := s.seen.Load(); seen != "/later/now/later" {
			t.Errorf("fasthttp has seen %q", seen)
		}
	}
	f(mustListen(t, "127.0.0.1:0"), func(a net.Addr) net.Conn {
		c, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
	f(files.load().Listener(mustListen(t, "127.0.0.1:0")), func(a net.Addr) net.Conn {
		c, err := tls.Dial("tcp", a.String(), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

// TestAnsweredConnectionsEndAsOthers: fasthttp takes them for new ones, and an error on a new
// one it would answer.
func TestAnsweredConnectionsEndAsOthers(t *testing.T) {
	t.Parallel()
	short := 200 * time.Millisecond
	f := func(name, request, want, seen string, timeouts listen.Timeouts, end func(s *answeringServer)) {
		t.Helper()
		s := answering(t, mustListen(t, "127.0.0.1:0"), timeouts)
		c := say(t, s.l.Addr(), request)
		defer func() { _ = c.Close() }()
		got := make([]byte, len(given))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != given {
			t.Fatalf("%s: answered %q, %v", name, got, err)
		}
		end(s)
		if got := ended(t, c); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: then came %q, want %q", name, got, want)
		}
		testkit.Eventually(t, 20*time.Second, name+" is gone", func() bool { return s.l.Conns() == 0 })
		if got := s.seen.Load(); got != seen {
			t.Errorf("%s: fasthttp has seen %q, want %q", name, got, seen)
		}
	}
	none := func(*answeringServer) {}
	f("an idle one", now, "", "", listen.Timeouts{Read: time.Minute, Idle: short}, none)
	f("one with half a request", now+later[:9], "HTTP/1.1 400 ", "!", listen.Timeouts{Read: short, Idle: time.Minute}, none)
	f("one that is asked to close", now, "", "", listen.Timeouts{Read: time.Minute, Idle: time.Minute}, func(s *answeringServer) {
		testkit.Eventually(t, 20*time.Second, "it waits", func() bool { return s.l.CloseIdle(0) == 1 })
	})
}

// TestAnswersThatNobodyReads: a peer that sends requests and reads nothing is cut when the
// time of an answer is over, and no more is made for it.
func TestAnswersThatNobodyReads(t *testing.T) {
	inner := pipes{make(chan net.Conn), make(chan struct{})}
	s := answering(t, inner, listen.Timeouts{Read: time.Minute, Write: 200 * time.Millisecond, Idle: time.Minute})
	end, peer := net.Pipe()
	inner.server <- end
	if _, err := io.WriteString(peer, now+now+now+later); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, "the peer is gone", func() bool { return s.l.Conns() == 0 })
	_ = peer.Close()
	if seen := s.seen.Load(); seen != "" {
		t.Errorf("fasthttp has seen %q", seen)
	}
}

// resetting is a connection that is reset behind its first read.
type resetting struct {
	net.Conn
	pieces []string
	closed chan struct{}
}

func (r *resetting) Close() error {
	close(r.closed)
	return r.Conn.Close()
}

func (r *resetting) Read(p []byte) (int, error) {
	if len(r.pieces) == 0 {
		return 0, syscall.ECONNRESET
	}
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	return n, nil
}

// TestAnsweredConnectionsAreReset without an error that anybody counts; with half of a
// request it is one.
func TestAnsweredConnectionsAreReset(t *testing.T) {
	f := func(want string, pieces ...string) {
		t.Helper()
		inner := pipes{make(chan net.Conn), make(chan struct{})}
		s := answering(t, inner, listen.Timeouts{})
		end, peer := net.Pipe()
		defer func() { _ = peer.Close() }()
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		conn := &resetting{end, pieces, make(chan struct{})}
		inner.server <- conn
		select {
		case <-conn.closed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: the connection is not closed", pieces)
		}
		if seen := s.seen.Load(); seen != want {
			t.Errorf("%q: fasthttp has seen %q, want %q", pieces, seen, want)
		}
	}
	f("", now)
	f("", now, now+now+now)
	f("!", now, now+later[:5])
	f("/later", later)
	f("/later", now, later)
}

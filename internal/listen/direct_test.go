package listen_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

// gate is a nowAnswerer that waits before each answer until it may go on.
type gate struct {
	nowAnswerer
	asked, goOn chan struct{}
}

func (g gate) Answer(c net.Conn, in, out []byte) (answered int, answers []byte) {
	g.asked <- struct{}{}
	<-g.goOn
	return g.nowAnswerer.Answer(c, in, out)
}

// halfClosed is a peer that is busy, and sends its last request together with its end while the
// server is at work: so both are one report of the poller's, and so is what it said.
func halfClosed(t *testing.T, inner net.Listener) {
	t.Helper()
	g := gate{nowAnswerer{100}, make(chan struct{}), make(chan struct{})}
	s := answeringWith(t, inner, g, listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute})
	c, err := net.Dial(inner.Addr().Network(), inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	send := func() {
		t.Helper()
		if _, err := io.WriteString(c, now); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		send()
		<-g.asked
		g.goOn <- struct{}{}
	}
	send()
	<-g.asked
	send()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	g.goOn <- struct{}{}
	<-g.asked
	g.goOn <- struct{}{}
	if got := ended(t, c); got != strings.Repeat(given, 4) {
		t.Errorf("answered %q", got)
	}
	testkit.Eventually(t, 20*time.Second, "the connection is gone", func() bool { return s.l.Conns() == 0 })
	if seen := s.seen.Load(); seen != "" {
		t.Errorf("fasthttp has seen %q", seen)
	}
}

// TestAnEndThatCameWithARequest is seen, although a busy connection is not read once more
// before it waits, on both kinds of sockets.
func TestAnEndThatCameWithARequest(t *testing.T) {
	halfClosed(t, mustListen(t, "127.0.0.1:0"))
	halfClosed(t, mustListen(t, "unix:"+t.TempDir()+"/s"))
}

// TestNoRequestIsLeftUnread: requests that come at any moment of the server's work are
// answered, none of them waits for the next one, and one that takes more than the buffer has
// goes to fasthttp whole.
func TestNoRequestIsLeftUnread(t *testing.T) {
	inner := mustListen(t, "127.0.0.1:0")
	s := answeringWith(t, inner, nowAnswerer{3}, listen.Timeouts{Read: time.Minute, Write: time.Minute, Idle: time.Minute})
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	rounds := 3000
	if testkit.Long() {
		rounds = 100_000
	}
	in := bufio.NewReader(c)
	for i := range rounds {
		n := 1 + i%8
		// In two pieces, so that reads end within requests, too.
		all, cut := strings.Repeat(now, n), i*7%(n*len(now))
		for _, piece := range []string{all[:cut], all[cut:]} {
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 {
			continue // two rounds at once
		}
		want := n
		if i%50 == 1 {
			want += 1 + (i-1)%8
		}
		for read := range want {
			var answer fasthttp.Response
			if err := answer.Read(in); err != nil || string(answer.Body()) != "now" {
				t.Fatalf("round %d: %d of %d answers, then %q, %v", i, read, want, answer.Body(), err)
			}
		}
	}
	if seen := strings.ReplaceAll(s.seen.Load().(string), "/now", ""); seen != "" {
		t.Errorf("fasthttp has seen %q besides", seen)
	}
}

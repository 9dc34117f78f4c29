package listen_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/listen"
	"hearth/internal/testkit"
)

const lastWord = "that is all"

// lingeringListener listens, and ends each connection in the middle of what its peer sends: when
// the first byte has come, it says the last word and closes.
func lingeringListener(t *testing.T, inner net.Listener, timeouts listen.Timeouts) *listen.Listener {
	t.Helper()
	l := opened(inner, timeouts)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if watched, ok := c.(*listen.Conn); ok {
					watched.Reading()
				}
				_, _ = io.ReadFull(c, make([]byte, 1))
				_, _ = io.WriteString(c, lastWord)
				_ = c.Close()
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l
}

// sendUntil sends as much as it is let, at most that many bytes, and returns how much
// that was.
func sendUntil(c net.Conn, most int) (sent int, err error) {
	piece := make([]byte, 1<<20)
	for sent < most && err == nil {
		var n int
		n, err = c.Write(piece[:min(len(piece), most-sent)])
		sent += n
	}
	return sent, err
}

// TestPeersSeeTheLastWord: who is still sending when the connection ends may send it
// all, and then reads what was said. It holds no place among the open ones.
func TestPeersSeeTheLastWord(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "s.sock")} {
		l := lingeringListener(t, mustListen(t, addr), listen.Timeouts{Linger: time.Minute})
		for range 5 {
			c := say(t, l.Addr(), "x")
			testkit.Eventually(t, 20*time.Second, "the connection lingers", func() bool { return l.Conns() == 0 && l.Lingering() == 1 })
			if sent, err := sendUntil(c, 20<<20); err != nil {
				t.Fatalf("%s: after %d bytes: %v", addr, sent, err)
			}
			if got, err := io.ReadAll(c); string(got) != lastWord || err != nil {
				t.Fatalf("%s: got %q, %v", addr, got, err)
			}
			_ = c.Close()
			testkit.Eventually(t, 20*time.Second, "it is gone", func() bool { return l.Lingering() == 0 })
		}
		if got := l.Cut(); got != 0 {
			t.Errorf("%d were cut, want none", got)
		}
	}
}

// TestPeersThatGoOnAreCut: one that sends for ever, one that sends a byte now and
// then, and one that does neither this nor that.
func TestPeersThatGoOnAreCut(t *testing.T) {
	t.Parallel()
	l := lingeringListener(t, mustListen(t, "127.0.0.1:0"), listen.Timeouts{Linger: time.Second})
	cut := func(n uint64) {
		t.Helper()
		testkit.Eventually(t, 20*time.Second, "it is cut", func() bool { return l.Cut() == n && l.Lingering() == 0 })
	}
	c := say(t, l.Addr(), "x")
	if sent, err := sendUntil(c, 1<<40); err == nil || sent < 32<<20 {
		t.Errorf("sent %d bytes, %v", sent, err)
	}
	cut(1)
	c = say(t, l.Addr(), "x")
	testkit.Eventually(t, 20*time.Second, "one that dribbles is cut", func() bool {
		_, err := c.Write([]byte("x"))
		return err != nil
	})
	cut(2)
	say(t, l.Addr(), "x") // Timeouts.Linger bounds silence, too
	cut(3)
}

// TestMaxLingering: when all are taken, the one that has its place longest
// loses it.
func TestMaxLingering(t *testing.T) {
	l := lingeringListener(t, mustListen(t, "127.0.0.1:0"), listen.Timeouts{Read: time.Minute})
	const places = 1024
	await := func(what string, lingering int, cut uint64) {
		t.Helper()
		testkit.Eventually(t, 20*time.Second, what, func() bool { return l.Lingering() == lingering && l.Cut() == cut })
	}
	first := say(t, l.Addr(), "x")
	await("the first has a place", 1, 0)
	for range places - 1 {
		say(t, l.Addr(), "x")
	}
	await("all have places", places, 0)
	last := say(t, l.Addr(), "x")
	await("one has lost its place", places, 1)
	if got, err := io.ReadAll(last); string(got) != lastWord || err != nil {
		t.Errorf("one more: got %q, %v", got, err)
	}
	testkit.Eventually(t, 20*time.Second, "it was the first", func() bool {
		_, err := first.Write([]byte("x"))
		return err != nil
	})
	if _, err := last.Write([]byte("x")); err != nil {
		t.Errorf("the last is cut: %v", err)
	}
}

// TestCloseShortensLingering: the end of the listener leaves lingering connections a second.
func TestCloseShortensLingering(t *testing.T) {
	l := lingeringListener(t, mustListen(t, "127.0.0.1:0"), listen.Timeouts{Linger: time.Hour})
	say(t, l.Addr(), "x")
	testkit.Eventually(t, 20*time.Second, "the connection lingers", func() bool { return l.Lingering() == 1 })
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	select {
	case err := <-closed:
		if err != nil || l.Lingering() != 0 || l.Cut() != 1 {
			t.Errorf("closed with %v, %d lingering, %d cut", err, l.Lingering(), l.Cut())
		}
	case <-time.After(20 * time.Second): // of silence five would do
		t.Fatal("Close waits for a peer")
	}
}

// TestAlertsReachWhoHasSentAlready: in TLS 1.3 a client sends its request before it
// knows what becomes of its certificate, and finds out why it was turned away.
func TestAlertsReachWhoHasSentAlready(t *testing.T) {
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	files := newCertFiles(t)
	files.pair(servers.leaf("server", time.Hour))
	files.clients(clients)
	l := opened(files.load().Listener(mustListen(t, "127.0.0.1:0")), listen.Timeouts{Read: time.Minute, Write: time.Minute})
	serveOn(t, l, whoAmI)
	for range 5 {
		session := mustSecure(t, say(t, l.Addr(), ""), &tls.Config{RootCAs: servers.Pool(), ServerName: "hearth.test"})
		if _, err := sendUntil(session, 2<<20); err != nil && !errors.Is(err, io.ErrClosedPipe) && strings.Contains(err.Error(), "reset") {
			t.Fatalf("sending: %v", err)
		}
		_, err := io.ReadAll(session)
		if err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Fatalf("got %v, want to be told that a certificate is required", err)
		}
	}
}

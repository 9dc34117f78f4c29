package peers

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// AwaitRight waits until a server gives the right answer. It may need a moment also
// after a load that ended with requests under way: Webdis has been seen to hand a reply
// that a closed connection was waiting for to the next one.
func (s *Servers) AwaitRight(tb testkit.TB, p *Peer, within time.Duration) {
	for ends := time.Now().Add(within); ; {
		err := s.verify(tb, p)
		if err == nil {
			return
		}
		if !p.Running() || time.Now().After(ends) || !testkit.Sleep(tb.Context(), 2*time.Millisecond) {
			tb.Fatalf("waiting for %s in vain: %v; its log:\n%s", p.Name, err, p.Logs())
		}
	}
}

// verify checks that a server gives the right answer now.
func (s *Servers) verify(tb testkit.TB, p *Peer) error {
	if s.Pattern == Batch {
		return s.verifyBatch(tb, p)
	}
	if p.memcached {
		return p.verifyMemcached()
	}
	conn, err := p.ask(http.MethodGet, p.First(), "")
	if err != nil {
		return err
	}
	want, text := http.StatusOK, p.body
	if p.Tag != "" {
		want, text = http.StatusNotModified, ""
	}
	if code, body := conn.Answer.StatusCode(), string(conn.Answer.Body()); code != want || body != text {
		return fmt.Errorf("%s answers %d %.2000q, want %d %.2000q", p.Name, code, body, want, text)
	}
	if p.Instance != nil && s.hot() && load.TierOf(conn.Status()) != load.Memory {
		return fmt.Errorf("%s answers with Cache-Status %q, want a hit of memory", p.Name, conn.Status())
	}
	return nil
}

// verifyBatch stores two items and looks for them in Redis. That they have another
// lifetime than the row is about, no waiting will mend.
func (s *Servers) verifyBatch(tb testkit.TB, p *Peer) error {
	if _, err := s.Redis.Try("DEL", "item:a", "item:b"); err != nil {
		return err
	}
	conn, err := p.ask(http.MethodPost, p.Path, `[{"id":"a","v":1},{"id":"b","v":2}]`)
	if err != nil {
		return err
	}
	if code, body := conn.Answer.StatusCode(), string(conn.Answer.Body()); code != http.StatusOK || !strings.Contains(body, `"success"`) {
		return fmt.Errorf("%s answers a batch with %d %q", p.Name, code, body)
	}
	for key, want := range map[string]string{"item:a": `{"id":"a","v":1}`, "item:b": `{"id":"b","v":2}`} {
		if got, err := s.Redis.Try("GET", key); err != nil || got != want {
			return fmt.Errorf("%s stored %q under %s, want %q (error %v)", p.Name, got, key, want, err)
		}
		ttl, err := s.Redis.Try("TTL", key)
		if err != nil {
			return err
		}
		if expires := ttl != int64(-1); expires != s.TTL {
			tb.Fatalf("%s stores items with a lifetime of %v s (-1 is none); this row is about items with one: %v", p.Name, ttl, s.TTL)
		}
	}
	return nil
}

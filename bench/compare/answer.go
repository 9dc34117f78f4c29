package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// awaitRight waits until a server gives the right answer. It may need a moment also
// after a load that ended with requests under way: Webdis has been seen to hand a reply
// that a closed connection was waiting for to the next one.
func (c *servers) awaitRight(tb testkit.TB, p *peer, within time.Duration) {
	for ends := time.Now().Add(within); ; {
		err := c.verify(tb, p)
		if err == nil {
			return
		}
		if !p.Running() || time.Now().After(ends) || !testkit.Sleep(tb.Context(), 2*time.Millisecond) {
			tb.Fatalf("waiting for %s in vain: %v; its log:\n%s", p.name, err, p.Logs())
		}
	}
}

// verify checks that a server gives the right answer now.
func (c *servers) verify(tb testkit.TB, p *peer) error {
	if c.load.pattern == "batch" {
		return c.verifyBatch(tb, p)
	}
	conn, err := p.ask(http.MethodGet, p.first(), "")
	if err != nil {
		return err
	}
	if code, body := conn.Answer.StatusCode(), string(conn.Answer.Body()); code != http.StatusOK || body != p.body {
		return fmt.Errorf("%s answers %d %q, want 200 %q", p.name, code, body, p.body)
	}
	if p.instance != nil && c.load.pattern == "one" && load.TierOf(conn.Status()) != load.Memory {
		return fmt.Errorf("%s answers with Cache-Status %q, want a hit of memory", p.name, conn.Status())
	}
	return nil
}

// verifyBatch stores two items and looks for them in Redis. That they have another
// lifetime than the row is about, no waiting will mend.
func (c *servers) verifyBatch(tb testkit.TB, p *peer) error {
	if _, err := c.redis.Try("DEL", "item:a", "item:b"); err != nil {
		return err
	}
	conn, err := p.ask(http.MethodPost, p.path, `[{"id":"a","v":1},{"id":"b","v":2}]`)
	if err != nil {
		return err
	}
	if code, body := conn.Answer.StatusCode(), string(conn.Answer.Body()); code != http.StatusOK || !strings.Contains(body, `"success"`) {
		return fmt.Errorf("%s answers a batch with %d %q", p.name, code, body)
	}
	for key, want := range map[string]string{"item:a": `{"id":"a","v":1}`, "item:b": `{"id":"b","v":2}`} {
		if got, err := c.redis.Try("GET", key); err != nil || got != want {
			return fmt.Errorf("%s stored %q under %s, want %q (error %v)", p.name, got, key, want, err)
		}
		ttl, err := c.redis.Try("TTL", key)
		if err != nil {
			return err
		}
		if expires := ttl != int64(-1); expires != c.ttl {
			tb.Fatalf("%s stores items with a lifetime of %v s (-1 is none); this row is about items with one: %v", p.name, ttl, c.ttl)
		}
	}
	return nil
}

// reference takes down what Hearth answers, for the bare handler to repeat.
func (c *servers) reference(tb testkit.TB, hearth *peer) reference {
	conn, err := hearth.ask(http.MethodGet, hearth.first(), "")
	if err != nil {
		tb.Fatal(err)
	}
	r := reference{Body: string(conn.Answer.Body())}
	for name, value := range conn.Answer.Header.All() {
		if name := string(name); name != "Date" && name != "Content-Length" && name != "Connection" {
			r.Headers = append(r.Headers, [2]string{name, string(value)})
		}
	}
	slices.SortFunc(r.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return r
}

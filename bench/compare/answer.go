package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"hearth/internal/testkit"
)

var client = &http.Client{
	Timeout:   5 * time.Second,
	Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
}

func ask(ctx context.Context, method, url, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// verify checks that a server gives the right answer now.
func (c *servers) verify(tb testkit.TB, p *peer) error {
	if c.load.kind == "batch" {
		return c.verifyBatch(tb, p)
	}
	resp, body, err := ask(tb.Context(), "GET", p.url(strings.Replace(p.path, "*", "1", 1)), "")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || body != p.body {
		return fmt.Errorf("%s answers %d %q, want 200 %q", p.name, resp.StatusCode, body, p.body)
	}
	if status := resp.Header.Get("Cache-Status"); p.instance != nil && c.load.kind == "one" && !memoryHit(status) {
		return fmt.Errorf("%s answers with Cache-Status %q, want a hit of memory", p.name, status)
	}
	return nil
}

func memoryHit(status string) bool {
	return strings.HasPrefix(status, "Hearth-Memory; hit") && !strings.Contains(status, "detail=")
}

// verifyBatch stores two items and looks for them in Redis. That they have another
// lifetime than the row is about, no waiting will mend.
func (c *servers) verifyBatch(tb testkit.TB, p *peer) error {
	tb.Helper()
	if _, err := c.redis.Try("DEL", "item:a", "item:b"); err != nil {
		return err
	}
	resp, body, err := ask(tb.Context(), "POST", p.url(p.path), `[{"id":"a","v":1},{"id":"b","v":2}]`)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"success"`) {
		return fmt.Errorf("%s answers a batch with %d %q", p.name, resp.StatusCode, body)
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
	tb.Helper()
	resp, body, err := ask(tb.Context(), "GET", hearth.url(strings.Replace(hearth.path, "*", "1", 1)), "")
	if err != nil {
		tb.Fatal(err)
	}
	r := reference{Body: body}
	for name, values := range resp.Header {
		if name != "Date" && name != "Content-Length" && name != "Connection" {
			r.Headers = append(r.Headers, [2]string{name, values[0]})
		}
	}
	slices.SortFunc(r.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return r
}

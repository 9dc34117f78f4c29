package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/bench/process"
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
func (c *cast) verify(ctx context.Context, p *peer) error {
	if c.load.kind == "batch" {
		return c.verifyBatch(ctx, p)
	}
	resp, body, err := ask(ctx, "GET", p.url(strings.Replace(p.path, "*", "1", 1)), "")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || body != p.body {
		return fmt.Errorf("%s answers %d %q, want 200 %q", p.name, resp.StatusCode, body, p.body)
	}
	if status := resp.Header.Get("Cache-Status"); p.admin != "" && c.load.kind == "one" && !memoryHit(status) {
		return fmt.Errorf("%s answers with Cache-Status %q, want a hit of memory", p.name, status)
	}
	return nil
}

func memoryHit(status string) bool {
	return strings.HasPrefix(status, "Hearth-Memory; hit") && !strings.Contains(status, "detail=")
}

// verifyBatch stores two items and looks for them in Redis.
func (c *cast) verifyBatch(ctx context.Context, p *peer) error {
	conn, err := c.redis.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Do("DEL", "item:a", "item:b"); err != nil {
		return err
	}
	resp, body, err := ask(ctx, "POST", p.url(p.path), `[{"id":"a","v":1},{"id":"b","v":2}]`)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"success"`) {
		return fmt.Errorf("%s answers a batch with %d %q", p.name, resp.StatusCode, body)
	}
	for key, want := range map[string]string{"item:a": `{"id":"a","v":1}`, "item:b": `{"id":"b","v":2}`} {
		if got, err := conn.Do("GET", key); err != nil || got != want {
			return fmt.Errorf("%s stored %q under %s, want %q (error %v)", p.name, got, key, want, err)
		}
		ttl, err := conn.Do("TTL", key)
		if err != nil {
			return err
		}
		if expires := ttl != "-1"; expires != c.ttl {
			return process.FinalError{Err: fmt.Errorf("%s stores items with a lifetime of %s s (-1 is none); this row is about items with one: %v", p.name, ttl, c.ttl)}
		}
	}
	return nil
}

// referenceOf takes down what Hearth answers, for the bare handler to repeat.
func (c *cast) referenceOf(ctx context.Context, hearth *peer) (reference, error) {
	resp, body, err := ask(ctx, "GET", hearth.url(strings.Replace(hearth.path, "*", "1", 1)), "")
	if err != nil {
		return reference{}, err
	}
	r := reference{Body: body}
	for name, values := range resp.Header {
		if name != "Date" && name != "Content-Length" && name != "Connection" {
			r.Headers = append(r.Headers, [2]string{name, values[0]})
		}
	}
	slices.SortFunc(r.Headers, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return r, nil
}

// answered reads from Hearth's metrics how many answers with status 200 each tier
// has given.
func answered(ctx context.Context, hearth *peer) (map[string]float64, error) {
	_, text, err := ask(ctx, "GET", "http://"+hearth.admin+"/metrics", "")
	if err != nil {
		return nil, fmt.Errorf("reading Hearth's metrics: %w", err)
	}
	return parseTiers(text), nil
}

func parseTiers(text string) map[string]float64 {
	tiers := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		labels, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "hearth_requests_total{"), "} ")
		if !found || !strings.HasPrefix(lines.Text(), "hearth_requests_total{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		tier := "other status"
		if strings.Contains(labels, `code="200"`) {
			_, rest, _ := strings.Cut(labels, `tier="`)
			tier, _, _ = strings.Cut(rest, `"`)
		}
		tiers[tier] += n
	}
	return tiers
}

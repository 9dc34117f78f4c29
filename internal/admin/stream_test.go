package admin_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"hearth/internal/admin"
	"hearth/internal/testkit"
)

// follow opens the stream; ticks reads the data of the next event.
func follow(t *testing.T, r *rig, headers ...string) (resp *http.Response, next func() (string, error)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+"/api/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err = r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return resp, func() (string, error) {
		for {
			line, err := lines.ReadString('\n')
			if data, found := strings.CutPrefix(line, "data: "); found || err != nil {
				return strings.TrimSpace(data), err
			}
		}
	}
}

// TestAStreamIsEvents: each tick is an event, sent at once and not kept by anybody.
func TestAStreamIsEvents(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks = make(chan []byte)
	resp, next := follow(t, r)
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("answered %s, %q", resp.Status, got)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Accel-Buffering": "no"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	large := `{"pad":"` + strings.Repeat("x", 100_000) + `"}` // more than fasthttp reads at a time
	for _, tick := range []string{`{"seq":1}`, large, `{"seq":3}`} {
		r.watch.ticks <- []byte(tick)
		if got, err := next(); err != nil || got != tick {
			t.Fatalf("got %.80q, %v, want %.80q", got, err, tick)
		}
	}
	close(r.watch.ticks)
	if _, err := next(); err == nil {
		t.Error("the stream goes on behind the end of the ticks")
	}
	testkit.Eventually(t, 20*time.Second, "the follower is gone", func() bool { return r.watch.stopped.Load() == 1 })
}

// TestAStreamEndsWithItsToken: a token that a reload has taken away opens no later tick.
func TestAStreamEndsWithItsToken(t *testing.T) {
	r := start(t, nil, tokens()...)
	r.watch.ticks = make(chan []byte)
	resp, next := follow(t, r, "Authorization", "Bearer a")
	if resp.StatusCode != 200 {
		t.Fatalf("answered %s", resp.Status)
	}
	r.watch.ticks <- []byte(`{"seq":1}`)
	if got, err := next(); err != nil || got != `{"seq":1}` {
		t.Fatalf("got %q, %v", got, err)
	}
	r.revoked.Store(true)
	r.watch.ticks <- []byte(`{"seq":2}`)
	if got, err := next(); err == nil {
		t.Errorf("got %q with a token that is none any more", got)
	}
}

// TestAFollowerThatLeavesIsForgotten at the next tick at the latest.
func TestAFollowerThatLeavesIsForgotten(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks = make(chan []byte)
	resp, _ := follow(t, r)
	_ = resp.Body.Close()
	done, gone := make(chan struct{}), make(chan struct{})
	go func() { // several ticks: the peer may take the first before it has left
		defer close(done)
		for {
			select {
			case r.watch.ticks <- []byte(`{}`):
			case <-gone: // and nobody takes another one
				return
			}
		}
	}()
	testkit.Eventually(t, 20*time.Second, "the follower is gone", func() bool { return r.watch.stopped.Load() == 1 })
	close(gone)
	<-done
}

// TestFollowersAreFew: who comes when as many follow as may is told so.
func TestFollowersAreFew(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks, r.watch.full = make(chan []byte), true
	got := r.do(t, "GET", "/api/stream", "")
	wantProblem(t, "one follower too many", got, 503)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// TestAStreamWithoutTicksSaysSo: so one whose peer has left gives its place back although
// nothing happens, and a proxy in between waits on.
func TestAStreamWithoutTicksSaysSo(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks = make(chan []byte)
	admin.SetSilence(r.admin, 10*time.Millisecond)
	resp, _ := follow(t, r)
	lines := bufio.NewReader(resp.Body)
	for comments := 0; comments < 2; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, ":") {
			comments++
		}
	}
	r.watch.ticks <- []byte(`{"seq":1}`)
	found := false
	for !found {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		found = line == "data: {\"seq\":1}\n"
	}
	_ = resp.Body.Close()
	testkit.Eventually(t, 20*time.Second, "the follower is gone", func() bool { return r.watch.stopped.Load() == 1 })
}

// TestForeignPagesDoNotWatch: a page of another site could read nothing, but take places and
// have histories written.
func TestForeignPagesDoNotWatch(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"/api/stream", "/api/history"} {
		for _, header := range [][2]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}} {
			wantProblem(t, path, r.do(t, "GET", path, "", header[0], header[1]), 403)
		}
		if got := r.do(t, "GET", path, "", "Sec-Fetch-Site", "same-origin"); got.status != 200 {
			t.Errorf("%s of its own page is answered %d", path, got.status)
		}
	}
}

// TestQueriesOfHistory: only what is documented is taken.
func TestQueriesOfHistory(t *testing.T) {
	r := start(t, nil)
	for query, status := range map[string]int{"": 200, "?span=hour": 200, "?span=week": 422, "?spam=hour": 422, "?span=hour&span=hour": 422} {
		if got := r.do(t, "GET", "/api/history"+query, ""); got.status != status {
			t.Errorf("/api/history%s is answered %d, want %d: %s", query, got.status, status, got.body)
		}
	}
}

// TestQueriesOfHotKeys: likewise.
func TestQueriesOfHotKeys(t *testing.T) {
	r := start(t, nil)
	for query, want := range map[string]string{
		"": `{"by":"reads","keys":[{"key":"reads","most":100}]}`, "?by=loads&limit=3": `{"by":"loads","keys":[{"key":"loads","most":3}]}`,
	} {
		if got := r.do(t, "GET", "/api/hot"+query, ""); got.status != 200 || strings.TrimSpace(got.body) != want {
			t.Errorf("/api/hot%s is answered %d %s", query, got.status, got.body)
		}
	}
	for _, query := range []string{"?by=age", "?limit=0", "?limit=101", "?limit=x", "?by=reads&by=reads", "?sort=reads"} {
		wantProblem(t, query, r.do(t, "GET", "/api/hot"+query, ""), 422)
	}
}

// TestABrowserMayAskForAPassword where it opens the page, and programs get what they had.
func TestABrowserMayAskForAPassword(t *testing.T) {
	r := start(t, nil, tokens()...)
	page := r.do(t, "GET", "/", "", "Accept", "text/html,application/xhtml+xml")
	if got := page.header.Values("WWW-Authenticate"); page.status != 401 || len(got) != 2 || !strings.HasPrefix(got[1], "Basic ") {
		t.Errorf("a browser is answered %d with the challenges %q", page.status, got)
	}
	program := r.do(t, "GET", "/metrics", "", "Accept", "text/html")
	if got := program.header.Values("WWW-Authenticate"); program.status != 401 || len(got) != 1 {
		t.Errorf("a program is answered %d with the challenges %q", program.status, got)
	}
}

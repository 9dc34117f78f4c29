package admin_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
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

// TestAStreamReachesAPeerOfHTTP10: nginx asks so unless it is told otherwise. The content ends with
// the connection.
func TestAStreamReachesAPeerOfHTTP10(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks = make(chan []byte)
	port := testkit.FreePort(t)
	testkit.Nginx(t, fmt.Sprintf("events {}\nhttp {\n\taccess_log off;\n\tserver {\n\t\tlisten 127.0.0.1:%d;\n\t\tlocation / { proxy_pass %s; }\n\t}\n}\n", port, r.base))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/stream", port), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream; charset=utf-8" {
		t.Fatalf("through nginx: %s, %q", resp.Status, got)
	}
	lines := bufio.NewReader(resp.Body)
	want := "retry: 1000\n\n"
	for seq := range 3 {
		tick := fmt.Sprintf(`{"seq":%d}`, seq+1)
		r.watch.ticks <- []byte(tick)
		want += fmt.Sprintf("event: tick\nid: %d\ndata: %s\n\n", seq+1, tick)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(lines, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
		want = ""
	}
	close(r.watch.ticks)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the end of the stream: %q, %v", rest, err)
	}
	testkit.Eventually(t, 20*time.Second, "the follower is gone", func() bool { return r.watch.stopped.Load() == 1 })
}

// TestAStreamToHTTP10IsPlain: no chunks, no length, no second answer behind it.
func TestAStreamToHTTP10IsPlain(t *testing.T) {
	r := start(t, nil)
	r.watch.ticks = make(chan []byte, 1)
	r.watch.ticks <- []byte(`{"seq":7}`)
	close(r.watch.ticks)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /api/stream HTTP/1.0\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if err != nil || body != "retry: 1000\n\nevent: tick\nid: 7\ndata: {\"seq\":7}\n\n" {
		t.Errorf("got %q, %v", all, err)
	}
	for _, line := range []string{"Content-Length:", "Transfer-Encoding:"} {
		if strings.Contains(head, line) {
			t.Errorf("%s in %q", line, head)
		}
	}
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || strings.Count(head, "Connection: close") != 1 || !strings.Contains(head, "Cache-Control: no-store") {
		t.Errorf("the head is %q", head)
	}
}

// TestAStreamGoesOnBehindTheLastEvent: who has the newest tick already waits for the next one, and
// for who has an older one the newest is the state.
func TestAStreamGoesOnBehindTheLastEvent(t *testing.T) {
	for had, want := range map[string]string{"5": `{"seq":6}`, "3": `{"seq":5}`, "x": `{"seq":5}`, "": `{"seq":5}`} {
		r := start(t, nil)
		r.watch.ticks = make(chan []byte, 2)
		r.watch.ticks <- []byte(`{"seq":5}`)
		r.watch.ticks <- []byte(`{"seq":6}`)
		_, next := follow(t, r, "Last-Event-ID", had)
		if got, err := next(); err != nil || got != want {
			t.Errorf("behind %q comes %q, %v, want %q", had, got, err, want)
		}
		close(r.watch.ticks)
	}
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
	for _, path := range []string{"/metrics", "/api/stats", "/debug/pprof/"} { // to which the page has links
		if got := r.do(t, "GET", path, "", "Accept", "text/html"); got.status != 401 || len(got.header.Values("WWW-Authenticate")) != 2 {
			t.Errorf("a browser at %s is answered %d with %q", path, got.status, got.header.Values("WWW-Authenticate"))
		}
		password := base64.StdEncoding.EncodeToString([]byte("any:a"))
		if got := r.do(t, "GET", path, "", "Authorization", "Basic "+password, "Sec-Fetch-Site", "same-origin"); got.status != 200 {
			t.Errorf("%s with the token as password is answered %d", path, got.status)
		}
		wantProblem(t, path+" for a page of another site", r.do(t, "GET", path, "", "Authorization", "basic "+password, "Sec-Fetch-Site", "cross-site"), 403)
	}
	program := r.do(t, "GET", "/metrics", "", "Accept", "text/plain")
	if got := program.header.Values("WWW-Authenticate"); program.status != 401 || len(got) != 1 {
		t.Errorf("a program is answered %d with the challenges %q", program.status, got)
	}
}

package test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestExplain: the admin listener and the verb tell how the next GET will be answered; it is.
func TestExplain(t *testing.T) {
	t.Parallel()
	in := demo(t, testkit.Redis(t))
	explained := func(path string) (tier string, status int, sentence string) {
		t.Helper()
		answer := in.AskAdmin(http.MethodGet, "/api/explain?path="+path, "")
		var got struct {
			Next struct {
				Tier, Sentence string
				Status         int
			}
		}
		if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Code != 200 {
			t.Fatalf("%v: %v", err, answer)
		}
		return got.Next.Tier, got.Next.Status, got.Next.Sentence
	}
	for _, want := range []struct {
		path, tier, answered string
		status               int
	}{
		{"/user/7", "source", "Hearth-Redis; fwd=miss; stored, Hearth-Memory; fwd=miss", 0},
		{"/user/7", "redis", "Hearth-Redis; hit", 200},
		{"/user/7", "memory", "Hearth-Memory; hit", 200},
		{"/user/07", "memory", "Hearth-Memory; hit", 200},
		{"/user/x", "none", "", 422},
		{"/nothing", "none", "", 404},
		{"http://hearth.test/user/7?x=1", "memory", "", 200},
	} {
		tier, status, sentence := explained(want.path)
		if tier != want.tier || status != want.status || sentence == "" {
			t.Errorf("%s: explained as %d from %s (%s), want %d from %s", want.path, status, tier, sentence, want.status, want.tier)
		}
		if want.path[0] != '/' {
			continue
		}
		got := in.Get(want.path)
		if !strings.HasPrefix(got.Tiers, want.answered) || status != 0 && got.Code != status {
			t.Errorf("%s: explained as %s, answered %v", want.path, want.answered, got)
		}
	}
	for _, query := range []string{"", "?path=", "?path=user/7", "?path=/user/7&x=1"} {
		if got := in.AskAdmin(http.MethodGet, "/api/explain"+query, ""); got.Code != 422 {
			t.Errorf("/api/explain%s is answered %v", query, got)
		}
	}
	run := func(args ...string) (string, error) {
		hearth, err := exec.LookPath(launch.Name)
		must(t, err)
		out, err := exec.Command(hearth, append([]string{"-config", in.File, "explain"}, args...)...).CombinedOutput()
		return string(out), err
	}
	admin := in.Admin
	if out, err := run("-admin", admin, "/user/7"); err != nil || !strings.HasPrefix(out, "/user/7: 200, from memory\nmemory has a fresh copy") || !strings.Contains(out, "user:7") {
		t.Errorf("the verb ends with %v and prints\n%s", err, out)
	}
	if out, err := run("-json", "-admin", admin, "/user/7"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("-json ends with %v and prints\n%s", err, out)
	}
	if out, err := run("-admin", admin, "user/7"); err == nil || !strings.Contains(out, "begin with a slash") {
		t.Errorf("a path without a slash ends with %v and prints\n%s", err, out)
	}
	if out, err := run(); err == nil || err.(*exec.ExitError).ExitCode() != 2 {
		t.Errorf("without a path it ends with %v and prints\n%s", err, out)
	}
	in.Kill()
	if out, err := run("-admin", admin, "/user/7"); err == nil || err.(*exec.ExitError).ExitCode() != 1 || !strings.Contains(out, "is the server running?") {
		t.Errorf("without a server it ends with %v and prints\n%s", err, out)
	}
}

// TestExplainOfEveryPath: explain and the next GET agree for whatever a path is, however it is
// spelt, and for what comes before the tiers: limits, and a server that has no place or ends.
func TestExplainOfEveryPath(t *testing.T) {
	t.Parallel()
	in := launch.Ready(t, launch.Demo(t)+`
[[limit]]
name  = "each"
paths = ["/user/{user_id:int}"]
by    = "client"
rate  = "1000000/h"
[[limit]]
name  = "all"
paths = ["/openapi.json"]
by    = "global"
rate  = "1/h"
[[counter]]
path = "/slow"
key  = "slow"
work = "10s"
`, "HEARTH_SERVER_MAX_IN_FLIGHT=1", "HEARTH_SERVER_DRAIN=10m")
	type next struct {
		Tier, Sentence string
		Status         int
	}
	explained := func(target string) (n next, all string) {
		t.Helper()
		answer := in.AskAdmin(http.MethodGet, "/api/explain?path="+url.QueryEscape(target), "")
		var got struct{ Next next }
		if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Code != 200 {
			t.Fatalf("%s: %v: %v", target, err, answer)
		}
		return got.Next, answer.Body
	}
	agrees := func(target string, status int, tier, says string) {
		t.Helper()
		n, all := explained(target)
		if n.Status != status || n.Tier != tier || !strings.Contains(all, says) {
			t.Errorf("%s: explained as %s, want %d from %s, and %q", target, all, status, tier, says)
		}
		c := in.MustDial() // some refusals end their connection
		defer func() { _ = c.Close() }()
		got := c.Get(target)
		if status != 0 && got.Code != status {
			t.Errorf("%s: explained as %+v, answered %v", target, n, got)
		}
	}
	awaitNewHour(t)
	agrees("/user/3", 0, "source", "admits 1000000 requests in 1h0m0s, and counts each client by itself")
	agrees("/user/3", 200, "embedded", "used one up is answered 429")
	for _, spelling := range []string{"/user/3", "/user/03", "/user/%33", "/user/3?x=1", "/user/3?user_id=4"} {
		agrees(spelling, 200, "memory", `"key":"user:3"`)
	}
	agrees("/item/a%2Fb", 404, "embedded", `"key":"item:a%2Fb"`)
	agrees("/item/%zz", 400, "none", "percent sign")
	agrees("/item/%00", 422, "none", "refused before")
	agrees("/item/"+strings.Repeat("x", 2000), 422, "none", "refused before")
	agrees("/user/x", 422, "none", "refused before")
	agrees("/user/", 404, "none", "nothing is served")
	agrees("//user/3", 404, "none", "nothing is served")
	agrees("/User/3", 404, "none", "nothing is served")
	agrees("/user/3#x", 400, "none", "fragment")
	agrees("/batch_process", 405, "none", "this path serves OPTIONS, POST")
	agrees("/concurrent_test", 200, "none", "the path is a counter's")
	agrees("/docs", 200, "none", "without any tier")
	agrees("/", 200, "none", "without any tier")
	agrees("/healthz", 200, "none", "without any tier")
	agrees("/user", 422, "none", "is missing")
	agrees("/user?user_id=3&user_id=3", 200, "memory", "of 1 records")
	agrees("/user?user_id=3&user_id=4", 200, "source", "1 from memory, 1 from source")
	agrees("/user?user_id=3&user_id=x", 422, "none", "counted from 0")

	agrees("/openapi.json", 200, "none", "and counts all together")
	if got := in.Get("/openapi.json"); got.Code != 429 { // from here on it is known here
		t.Errorf("beyond the limit the answer is %v", got)
	}
	agrees("/openapi.json", 429, "none", "admits no more until its window is over")

	// One request is at work: there is no place for another one.
	slow := in.Begin(http.MethodGet, "/slow", "")
	await(t, "the place is taken", func() bool { n, _ := explained("/user/9"); return n.Status == 503 })
	full, _ := explained("/user/9")
	hit, _ := explained("/user/3")
	count, _ := explained("/concurrent_test")
	if !strings.Contains(full.Sentence, "server.max_in_flight") || hit.Tier != "memory" || count.Status != 503 {
		t.Errorf("without a place: %+v, %+v, %+v", full, hit, count)
	}

	in.Signal(syscall.SIGTERM)
	await(t, "it drains", func() bool { _, all := explained("/user/3"); return strings.Contains(all, `"server":"draining"`) })
	agrees("/user/3", 200, "memory", "closes each connection")
	agrees("/healthz", 503, "none", "the server is about to end")
	in.Kill()
	<-slow
}

// TestExplainTakesAnyText: what is no target of a request is refused with what to write.
func TestExplainTakesAnyText(t *testing.T) {
	t.Parallel()
	in := launch.Ready(t, launch.Demo(t))
	for text, want := range map[string]int{
		"/item/a b": 422, "/item/a\x00b": 422, "/item/a\r\nHost: x": 422, "item/a": 422, "": 422, "http://%zz/": 422, "://": 422, "*": 422,
		"/item/\xff\xfe": 200, "/item/%": 200, "http://a.test/item/a?b#c": 200, "http://a.test": 200, "/item/" + strings.Repeat("%C3%A9", 300): 200, "/?://": 200,
	} {
		got := in.AskAdmin(http.MethodGet, "/api/explain?path="+url.QueryEscape(text), "")
		if got.Code != want || !json.Valid([]byte(got.Body)) {
			t.Errorf("%q is answered %v, want %d", text, got, want)
		}
	}
}

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAnOriginIsAskedInItsPlace: the origin takes paths apart only after it has
// decoded them, and has more than what it is asked for. No spelling of an id leads
// there, and nothing is kept of the attempt.
func TestAnOriginIsAskedInItsPlace(t *testing.T) {
	var asked, strayed atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if rest, below := strings.CutPrefix(r.URL.Path, "/public/"); !below || strings.ContainsAny(rest, `/\`) || strings.Trim(rest, ".") == "" {
			strayed.Add(1)
		}
		fmt.Fprintf(w, `{"path":%q}`, r.URL.Path)
	}))
	defer origin.Close()
	in := launch(t, fmt.Sprintf(`
[server]
drain = "0s"
[[resource]]
name   = "far"
path   = "/far/{id:string}"
key    = "far:{id}"
origin = "%s/public/{id}"
`, origin.URL))
	in.awaitReady()
	for _, id := range []string{
		"..%2Fprivate%2Fsecret", "..%5Cprivate", "..%2fprivate", "%2e%2e%2Fprivate", "%252e%252e%252fprivate", "..", "%2E%2E", "%252e%252e", ".",
		"a%2Fb", "a%5cb", "a%252Fb", "..%3B", "..;x", "...", "%2F", "a%250d%250ab",
	} {
		for range 2 {
			if got := in.get("/far/" + id); got.code != http.StatusUnprocessableEntity {
				t.Errorf("%s: answered %d %s", id, got.code, got.body)
			}
		}
		if got := in.get("/far?id=good&id=" + id); got.code != http.StatusUnprocessableEntity {
			t.Errorf("many-read of %s: answered %d %s", id, got.code, got.body)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the origin was asked %d times, %d of them outside of /public/", n, strayed.Load())
	}
	for id, path := range map[string]string{"good": "/public/good", "a%3Fb%23c": "/public/a?b#c", "a%20b": "/public/a b", "100%25": "/public/100%", "..a": "/public/..a"} {
		if got := in.get("/far/" + id); got.code != http.StatusOK || !strings.Contains(got.body, fmt.Sprintf("%q", path)) {
			t.Errorf("%s: answered %d %s, want the origin's %s", id, got.code, got.body, path)
		}
	}
}

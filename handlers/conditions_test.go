package handlers

import (
	"fmt"
	"strings"
	"testing"

	"hearth/cache"
	"hearth/internal/param"
)

// withPlain adds a resource without an envelope, whose answers are the same
// bytes from every tier.
func withPlain(c *Config, _ *Deps) {
	user := c.Resources[0]
	plain := Resource{
		Cache: cache.NewResource("plain", "", user.Cache.TTL, user.Cache.Records),
		Path:  []param.Segment{{Literal: "plain"}, {Param: "plain_id", Type: param.Int}},
		Key:   []param.Part{{Literal: "plain:"}, {Param: "plain_id"}},
	}
	plain.CanPut, plain.CanDelete, plain.ManyRead = true, true, true
	c.Resources = append(c.Resources, plain)
}

// TestIfMatchOnReads goes through RFC 9110, 13.1.1 and 13.2.2, for the first
// reader, for one whom the shared tier answers, and for one whom memory does.
func TestIfMatchOnReads(t *testing.T) {
	f := newFixture(t, withPlain)
	weak := warm(t, f, "/user/1")
	strong := warm(t, f, "/plain/1")
	if !strings.HasPrefix(weak, `W/"`) || !strings.HasPrefix(strong, `"`) || !strings.HasPrefix(weak, "W/") {
		t.Fatalf("got the validators %s and %s, want a weak and a strong one", weak, strong)
	}
	for _, c := range []struct {
		target string
		fields string
		status int
	}{
		{"/user/1", "If-Match: *", 200},
		{"/user/1", "If-Match: " + weak, 412},
		{"/user/1", "If-Match: " + strings.TrimPrefix(weak, "W/"), 412},
		{"/user/1", `If-Match: "x"`, 412},
		{"/user/1", "If-Match:", 412},
		{"/user/1", "If-Match: garbage", 412},
		{"/user/1", "If-Match: *\r\nIf-None-Match: " + weak, 304},
		{"/user/1", "If-Match: \"x\"\r\nIf-None-Match: " + weak, 412}, // step 1 before step 3
		{"/user/1", "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT", 200},
		{"/user/1", "If-Modified-Since: Fri, 29 Oct 2094 19:43:31 GMT", 200}, // no dates here
		{"/user/1", "If-None-Match: \"x\"\r\nIf-None-Match: " + weak, 304},
		{"/plain/1", "If-Match: " + strong, 200},
		{"/plain/1", `If-Match: "x", ` + strong, 200},
		{"/plain/1", "If-Match: \"x\"\r\nIf-Match: " + strong, 200},
		{"/plain/1", "If-Match: W/" + strong, 412},
		{"/plain/1", `If-Match: "x"`, 412},
		{"/plain/1", "If-Match: " + strong + "\r\nIf-None-Match: W/" + strong, 304},
		{"/user/404", "If-Match: *", 404},
		{"/user/404", `If-Match: "x"`, 404},
		{"/user?user_id=1", `If-Match: "x"`, 412},
		{"/user?user_id=1", "If-Match: *", 200},
		{"/", `If-Match: "x"`, 412},
		{"/docs", "If-Match: *", 200},
		{"/concurrent_test", `If-Match: "x"`, 412},
	} {
		for range 3 {
			a := f.send(t, "GET", c.target, "", c.fields)
			if a.StatusCode != c.status {
				t.Errorf("GET %s, %q: got %d %s, want %d", c.target, c.fields, a.StatusCode, a.body, c.status)
			}
			if head := f.send(t, "HEAD", c.target, "", c.fields); c.target != "/concurrent_test" && head.StatusCode != c.status {
				t.Errorf("HEAD %s, %q: got %d, want %d", c.target, c.fields, head.StatusCode, c.status)
			}
		}
	}
	for range 3 { // no tier has these yet
		f.people.rows["77"] = `{"id":77}`
		f.send(t, "GET", "/user/77", "", `If-Match: "x"`).wantProblem(t, 412, "If-Record-Match")
		f.send(t, "GET", "/plain/77", "", `If-Match: "x"`).wantProblem(t, 412, "read it again")
	}
}

// TestValidatorsOfVariants: other bytes have another strong validator, the same
// bytes the same one, whichever tier they come from.
func TestValidatorsOfVariants(t *testing.T) {
	f := newFixture(t, withPlain)
	first := f.send(t, "GET", "/plain/9", "", "Accept-Encoding: gzip") // from the source: no compressed variant
	etag := warm(t, f, "/plain/9")
	if got := first.Header.Get("ETag"); got != etag || first.Header.Get("Content-Encoding") != "" {
		t.Errorf("the source's answer has the validator %s, memory's %s", got, etag)
	}
	packed := strings.TrimSuffix(etag, `"`) + `-gzip"`
	for _, c := range []struct {
		fields, etag string
		status       int
	}{
		{"Accept-Encoding: gzip", packed, 200},
		{"Accept-Encoding: identity", etag, 200},
		{"Accept-Encoding: gzip\r\nIf-None-Match: " + packed, packed, 304},
		{"Accept-Encoding: gzip\r\nIf-None-Match: " + etag, packed, 200},
		{"If-None-Match: " + packed, etag, 200},
		{"Accept-Encoding: gzip\r\nIf-Match: " + packed, packed, 200},
	} {
		a := f.send(t, "GET", "/plain/9", "", c.fields)
		a.wantHeader(t, "ETag", c.etag)
		if a.StatusCode != c.status {
			t.Errorf("%q: got %d, want %d", c.fields, a.StatusCode, c.status)
		}
	}
	f.send(t, "GET", "/plain/9", "", "Accept-Encoding: gzip\r\nIf-Match: "+etag).wantProblem(t, 412, "")
	warm(t, f, "/user/9")
	weak := f.send(t, "GET", "/user/9", "").Header.Get("ETag")
	f.send(t, "GET", "/user/9", "", "Accept-Encoding: gzip").wantHeader(t, "ETag", weak)
	f.send(t, "PUT", "/plain/9", `{"name":"x"}`, "If-Match: "+packed).want(t, 200, `{"name":"x"}`)
}

// TestConditionalWrites: what a client has read is what it may write over.
func TestConditionalWrites(t *testing.T) {
	f := newFixture(t, withPlain)
	read := func(target string) string { t.Helper(); return f.send(t, "GET", target, "").Header.Get("ETag") }
	bodies := 0
	put := func(target, field string, status int) answer {
		t.Helper()
		bodies++
		a := f.send(t, "PUT", target, fmt.Sprintf(`{"name":"%d"}`, bodies), field)
		if a.StatusCode != status {
			t.Errorf("PUT %s, %q: got %d %s, want %d", target, field, a.StatusCode, a.body, status)
		}
		return a
	}
	user, plain := read("/user/1"), read("/plain/2")
	put("/user/1", "If-Record-Match: "+user, 200)
	put("/user/1", "If-Record-Match: "+user, 412)
	put("/user/1", `If-Record-Match: "x", `+read("/user/1"), 200)
	put("/user/1", "If-Record-Match: *", 200)
	put("/user/1", "If-Record-Match:", 412)
	put("/user/1", "If-Record-Match: garbage", 412)
	put("/user/1", "If-Record-Match: "+user+"\r\nIf-Match: *", 412)
	put("/user/700", "If-Record-Match: *", 412)
	put("/user/700", `If-Record-Match: "x"`, 412)
	put("/plain/2", "If-Match: W/"+plain, 412)
	next := put("/plain/2", "If-Match: "+plain, 200).Header.Get("ETag") // a write can be followed by a write
	put("/plain/2", "If-Match: "+plain, 412)
	put("/plain/2", "If-Match: "+next, 200)
	put("/plain/2", "If-Record-Match: "+read("/plain/2"), 200)
	put("/plain/2", "If-None-Match: "+read("/plain/2"), 412)
	put("/plain/2", "If-None-Match: garbage", 400)
	put("/plain/2", `If-None-Match: "a", b`, 400)
	put("/plain/2", `If-None-Match: "a", W/"b" ,`, 200)
	f.send(t, "DELETE", "/user/1", "", "If-Record-Match: "+user).wantProblem(t, 412, "read it again")
	f.send(t, "DELETE", "/user/1", "", "If-Record-Match: "+read("/user/1")).want(t, 204, "")
	f.send(t, "POST", "/batch_process", `[{"id":"c"}]`, `If-Match: "x"`).wantProblem(t, 412, "leave it out")
	f.send(t, "POST", "/batch_process", `[{"id":"c"}]`, "If-Record-Match: "+user).wantProblem(t, 412, "leave it out")
	f.send(t, "GET", "/item/c", "").wantProblem(t, 404, "")
}

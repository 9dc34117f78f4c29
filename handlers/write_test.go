package handlers

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

func TestPut(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/user/1", "")
	a := f.send(t, "PUT", "/user/1", `{"name":"王五"}`, "Content-Type: application/json; charset=utf-8")
	a.want(t, 200, `{"user":{"name":"王五"},"source":"db"}`)
	a.wantHeader(t, "Cache-Control", "no-store")
	get := f.send(t, "GET", "/user/1", "")
	if want := `{"user":{"name":"王五"},`; !strings.HasPrefix(get.body, want) {
		t.Errorf("reading after the write: got %s, want %s…", get.body, want)
	}
	if a.Header.Get("ETag") == "" || a.Header.Get("ETag") != get.Header.Get("ETag") {
		t.Errorf("ETag of the write: got %q, the read has %q", a.Header.Get("ETag"), get.Header.Get("ETag"))
	}
	f.send(t, "PUT", "/user/77", `{"name":"new"}`).want(t, 200, `{"user":{"name":"new"},"source":"db"}`)
}

func TestPutRefusesBadBodies(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name, body, media string
		status            int
		words             string
	}{
		{"no body", "", "", 400, "is empty"},
		{"truncated", `{"name":"a`, "", 400, "ends in the middle"},
		{"malformed", `{"name":}`, "", 400, "not valid JSON"},
		{"trailing", `{"name":"a"} 1`, "", 400, "must end"},
		{"duplicate", `{"name":"a","name":"b"}`, "", 400, "two members of one name"},
		{"duplicate inside", `{"name":{"a":1,"\u0061":2}}`, "", 400, "two members of one name"},
		{"no UTF-8", "{\"name\":\"\xff\"}", "", 400, "UTF-8"},
		{"lone surrogate", `{"name":"\ud800"}`, "", 400, "UTF-8"},
		{"deep", `{"name":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "", 400, "64 levels"},
		{"very deep", strings.Repeat("[", 20000), "", 400, "64 levels"},
		{"array", `[]`, "", 422, "must be a JSON object"},
		{"null", `null`, "", 422, "must be a JSON object"},
		{"missing member", `{"nom":"a"}`, "", 422, `member "name": is missing`},
		{"form", `name=a`, "application/x-www-form-urlencoded", 415, "application/json"},
		{"text", `{"name":"a"}`, "text/plain", 415, "application/json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fields []string
			if c.media != "" {
				fields = append(fields, "Content-Type: "+c.media)
			}
			f.send(t, "PUT", "/user/1", c.body, fields...).wantProblem(t, c.status, c.words)
		})
	}
	f.send(t, "PUT", "/user/1", "x", "Content-Encoding: gzip").wantProblem(t, 415, "compressed")
	f.send(t, "PUT", "/user/1", `{"name":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`,
		"Content-Type: application/merge-patch+json").want(t, 200,
		`{"user":{"name":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`},"source":"db"}`)
	f.send(t, "PUT", "/user/abc", `{"name":"a"}`).wantProblem(t, 422, "must be an integer")
	f.send(t, "PUT", "/user/", `{"name":"a"}`).wantProblem(t, 404, "nothing is served")
	f.send(t, "PUT", "/item/1", `{}`).wantProblem(t, 405, "serves")
}

func TestDelete(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/user/1", "")
	f.send(t, "DELETE", "/user/1", "").want(t, 204, "")
	f.send(t, "GET", "/user/1", "").wantProblem(t, 404, "no record")
	f.send(t, "DELETE", "/user/1", "").wantProblem(t, 404, "no such record")
}

func TestPreconditionsOfWrites(t *testing.T) {
	f := newFixture(t)
	etag := f.send(t, "GET", "/user/1", "").Header.Get("ETag")
	for _, c := range []struct {
		method, target, field string
		status                int
	}{
		{"PUT", "/user/1", "If-Match: " + etag, 412},
		{"PUT", "/user/1", "If-Match: " + strings.TrimPrefix(etag, "W/"), 412},
		{"PUT", "/user/1", "If-Match: garbage", 412},
		{"PUT", "/user/1", "If-Match:", 412},
		{"DELETE", "/user/1", "If-Match: " + etag, 412},
		{"PUT", "/user/500", "If-Match: *", 412},
		{"DELETE", "/user/500", "If-Match: *", 412},
		{"PUT", "/user/1", "If-None-Match: *", 412},
		{"PUT", "/user/1", "If-None-Match: \"x\"\r\nIf-None-Match: " + etag, 412},
		{"PUT", "/user/600", "If-None-Match: *", 200},
		{"PUT", "/user/1", "If-None-Match: \"x\"", 200},
		{"PUT", "/user/1", "If-Match: *", 200},
		{"DELETE", "/user/1", "If-Match: *", 204},
	} {
		body := ""
		if c.method == "PUT" {
			body = `{"name":"x"}`
		}
		a := f.send(t, c.method, c.target, body, c.field)
		if a.StatusCode != c.status {
			t.Errorf("%s %s, %q: got %d %s, want %d", c.method, c.target, c.field, a.StatusCode, a.body, c.status)
		}
	}
}

func TestAuthorisation(t *testing.T) {
	tokens := auth.New([]auth.Token{
		{Name: "app", Scopes: auth.Write, Secret: "sesame-sesame-sesame"},
		{Name: "ops", Scopes: auth.Metrics, Secret: "scrape-scrape-scrape"},
	})
	f := newFixture(t, func(_ *Config, d *Deps) { d.Tokens = tokens })
	writes := []struct{ method, target, body string }{
		{"PUT", "/user/1", `{"name":"x"}`}, {"DELETE", "/user/2", ""}, {"POST", "/batch_process", `[{"id":1}]`},
	}
	for _, w := range writes {
		a := f.send(t, w.method, w.target, w.body)
		a.wantProblem(t, 401, "bearer token")
		if a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: 401 without a challenge", w.method, w.target)
		}
		f.send(t, w.method, w.target, w.body, "Authorization: Bearer wrong-wrong-wrong").wantProblem(t, 401, "not known")
		f.send(t, w.method, w.target, w.body, "Authorization: Bearer scrape-scrape-scrape").wantProblem(t, 403, "scope")
		// A token tells who writes; the origin does not matter then.
		ok := f.send(t, w.method, w.target, w.body, "Authorization: Bearer sesame-sesame-sesame", "Origin: https://elsewhere.test")
		if ok.StatusCode >= 300 {
			t.Errorf("%s %s with a token: got %d %s", w.method, w.target, ok.StatusCode, ok.body)
		}
	}
	f.send(t, "GET", "/user/1", "").want(t, 200, `{"user":{"name":"x"},"source":"cache"}`)
}

func TestForeignOriginsMustNotWrite(t *testing.T) {
	f := newFixture(t)
	f.send(t, "POST", "/batch_process", `[]`, "Origin: https://elsewhere.test").wantProblem(t, 403, "other origins")
	f.send(t, "PUT", "/user/1", `{"name":"x"}`, "Origin: null").wantProblem(t, 403, "other origins")
	f.send(t, "DELETE", "/user/1", "", "Origin: https://elsewhere.test").wantProblem(t, 403, "other origins")
	f.send(t, "POST", "/batch_process", `[]`, "Origin: http://hearth.test").want(t, 200, `{"status":"success","count":0}`)
	open := newFixture(t, func(c *Config, _ *Deps) { c.CORS.OpenWrites = true })
	open.send(t, "POST", "/batch_process", `[]`, "Origin: https://elsewhere.test").want(t, 200, `{"status":"success","count":0}`)
}

// broken fails every call of the tiers with one error.
type broken struct {
	err    error
	failed map[string]bool // keys of a batch that fail; nil: all
}

func (b broken) Read(context.Context, *cache.Resource, string, source.Args) (cache.Answer, error) {
	return cache.Answer{}, b.err
}

func (b broken) ReadFresh(context.Context, *cache.Resource, string, source.Args, cache.Demand) (cache.Answer, error) {
	return cache.Answer{}, b.err
}

func (b broken) ReadMany(context.Context, *cache.Resource, []string, []source.Args) ([]cache.Answer, error) {
	return nil, b.err
}

func (b broken) Put(context.Context, *cache.Resource, string, source.Args, jsonvalue.Node) (cache.Answer, error) {
	return cache.Answer{}, b.err
}

func (b broken) Delete(context.Context, *cache.Resource, string, source.Args) error { return b.err }
func (b broken) Increment(context.Context, string) (int64, error)                   { return 0, b.err }
func (b broken) Count(context.Context, string) (int64, error)                       { return 0, b.err }

func (b broken) Store(_ context.Context, items []cache.Item, _ time.Duration) []error {
	errs := make([]error, len(items))
	for i := range items {
		if b.failed == nil || b.failed[items[i].Key] {
			errs[i] = b.err
		}
	}
	return errs
}

func (f *fixture) breakTiers(b broken) { f.reads, f.writes, f.counters = b, b, b }

func TestFailuresOfTiers(t *testing.T) {
	const secret = "dial tcp 10.1.2.3:6379"
	for _, c := range []struct {
		err    error
		status int
		retry  bool
	}{
		{cache.ErrUnavailable, 503, true},
		{cache.ErrOverload, 503, true},
		{cache.ErrTimeout, 504, false},
		{cache.ErrUnconfirmed, 504, false},
		{cache.ErrNotJSON, 502, false},
		{cache.ErrRefused, 500, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, cache.ErrRefused), 500, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, source.ErrNotJSON), 502, false},
		{source.ErrUnknownOutcome, 504, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, source.ErrConflict), 409, false},
		{source.ErrReadOnly, 403, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, source.ErrFault), 500, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, source.ErrSlow), 504, false},
		{context.DeadlineExceeded, 504, false},
		{context.Canceled, 503, true},
		{fmt.Errorf("surprise"), 500, false},
	} {
		f := newFixture(t)
		f.breakTiers(broken{err: fmt.Errorf("%w: %s", c.err, secret)})
		for _, r := range []struct{ method, target, body string }{
			{"GET", "/user/1", ""}, {"GET", "/user?user_id=1", ""}, {"PUT", "/user/1", `{"name":"x"}`},
			{"PUT", "/user/1", `{"name":"x"}`}, {"DELETE", "/user/1", ""}, {"GET", "/concurrent_test", ""},
		} {
			a := f.send(t, r.method, r.target, r.body)
			a.wantProblem(t, c.status, "")
			if strings.Contains(a.body, secret) || strings.Contains(a.body, "surprise") {
				t.Errorf("%v: the answer tells the cause: %s", c.err, a.body)
			}
			if after := a.Header.Get("Retry-After"); (after != "") != c.retry || after > "3" {
				t.Errorf("%v: Retry-After is %q", c.err, after)
			}
			if c.status < 500 {
				continue
			}
			if id := a.Header.Get("X-Request-Id"); id == "" || !strings.Contains(f.log.String(), "request_id="+id) {
				t.Errorf("%v: X-Request-Id is %q, which the log does not have", c.err, id)
			}
		}
		if c.status >= 500 && !strings.Contains(f.log.String(), secret) {
			t.Errorf("%v: the log does not tell the cause: %s", c.err, f.log)
		}
	}
	for title, err := range map[string]error{
		"stored, not confirmed": cache.ErrUnconfirmed,
		"outcome unknown":       fmt.Errorf("%w: %w", cache.ErrUnconfirmed, source.ErrUnknownOutcome),
	} {
		if got := problemOf(err).title; got != title {
			t.Errorf("%v: got title %q, want %q", err, got, title)
		}
	}
}

package handlers

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"hearth/cache"
)

func TestReadFromSourceThenCache(t *testing.T) {
	f := newFixture(t)
	first := f.send(t, "GET", "/user/1", "")
	first.want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"db"}`)
	first.wantHeader(t, "Content-Type", "application/json")
	first.wantHeader(t, "Cache-Control", "no-cache")
	etag := first.Header.Get("ETag")
	if !strings.HasPrefix(etag, `W/"`) {
		t.Errorf("ETag: got %q, want a weak one", etag)
	}
	for range 3 { // the shared tier, then memory
		a := f.send(t, "GET", "/user/1", "")
		a.want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
		a.wantHeader(t, "ETag", etag)
		a.wantHeader(t, "Cache-Control", "no-cache")
	}
	hit := f.send(t, "GET", "/user/1?anything=else", "")
	if got := hit.Header.Get("Cache-Status"); !strings.HasPrefix(got, "Hearth-Memory; hit; ttl=") {
		t.Errorf("Cache-Status of a hit: got %q", got)
	}
	f.send(t, "GET", "http://HEARTH.test/user/1", "").want(t, 200, hit.body)
	f.send(t, "GET", "http://elsewhere.test/user/1", "").want(t, 200, hit.body) // any name will do here
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/user/1", "/user/1", "/user/1", "/user?user_id=1", "/", "/docs", "/openapi.json", "/healthz", "/user/404"} {
		head, get := f.send(t, "HEAD", path, ""), f.send(t, "GET", path, "")
		if head.body != "" || head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: got %d %q %q, GET has %d %q", path, head.StatusCode,
				head.Header.Get("Content-Type"), head.body, get.StatusCode, get.Header.Get("Content-Type"))
		}
	}
	f.send(t, "HEAD", "/concurrent_test", "").want(t, 405, "")
}

func TestNotModified(t *testing.T) {
	f := newFixture(t)
	etag := f.send(t, "GET", "/user/1", "").Header.Get("ETag")
	for range 3 {
		for _, list := range []string{etag, "*", `"other", ` + etag, strings.TrimPrefix(etag, "W/")} {
			a := f.send(t, "GET", "/user/1", "", "If-None-Match: "+list)
			a.want(t, 304, "")
			a.wantHeader(t, "ETag", etag)
			a.wantHeader(t, "Cache-Control", "no-cache")
		}
		f.send(t, "GET", "/user/1", "", `If-None-Match: W/"other"`).
			want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"cache"}`)
	}
}

func TestMissingRecord(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		a := f.send(t, "GET", "/user/404", "")
		a.wantProblem(t, 404, "no record")
		if a.Header.Get("Cache-Status") == "" {
			t.Error("a 404 without Cache-Status")
		}
	}
	f.send(t, "GET", "/item/nobody", "").wantProblem(t, 404, "no record")
}

func TestParametersOfReads(t *testing.T) {
	f := newFixture(t)
	const user1 = `{"user":{"id":1,"name":"张三"},"source":"cache"}`
	f.send(t, "GET", "/user/1", "")
	for _, same := range []string{"/user/1", "/user/01", "/user/0000000000000000000001", "/user/%31"} {
		f.send(t, "GET", same, "").want(t, 200, user1)
	}
	f.send(t, "GET", "/user/-5", "").want(t, 200, `{"user":{"id":-5},"source":"db"}`)

	for target, want := range map[string]struct {
		status int
		words  string
	}{
		"/user/abc":                           {422, "must be an integer"},
		"/user/+1":                            {422, "must be an integer"},
		"/user/1.5":                           {422, "must be an integer"},
		"/user/1e2":                           {422, "must be an integer"},
		"/user/%20":                           {422, "must be an integer"},
		"/user/9223372036854775808":           {422, "must be an integer"},
		"/user/1%00":                          {422, "must be an integer"},
		"/user/%zz":                           {400, "percent sign"},
		"/user/1%2":                           {400, "percent sign"},
		"/user/%2531":                         {422, "must be an integer"},
		"/item/a%00b":                         {422, "control characters"},
		"/item/a%0Ab":                         {422, "control characters"},
		"/item/%ff":                           {422, "UTF-8"},
		"/item/" + strings.Repeat("x", 513):   {422, "512 bytes"},
		"/item/" + strings.Repeat("%20", 171): {422, "512 bytes"},
		"/bare/123":                           {422, "UUID"},
		"/bare/123e4567-e89b-12d3-a456-42661417400g": {422, "UUID"},
		"/user/":        {404, "nothing is served"},
		"/user/1/":      {404, "nothing is served"},
		"/users":        {404, "nothing is served"},
		"/":             {200, ""},
		"/pair/a/of/":   {404, "nothing is served"},
		"/pair//of/1":   {404, "nothing is served"},
		"/pair/a/of/x":  {422, `"b" must be an integer`},
		"//host/..":     {404, "nothing is served"},
		"//host/user/1": {404, "nothing is served"},
		"/../user/1":    {404, "nothing is served"},
		"/x/../user/1":  {404, "nothing is served"},
	} {
		a := f.send(t, "GET", target, "")
		if want.status == 200 {
			continue
		}
		t.Run(target, func(t *testing.T) {
			a.wantProblem(t, want.status, want.words)
			if loc := a.Header.Get("Location"); loc != "" {
				t.Errorf("redirects to %q", loc)
			}
		})
	}
}

// An id must stay inside its own key, however it is spelled.
func TestStringIDs(t *testing.T) {
	f := newFixture(t)
	f.send(t, "POST", "/batch_process", `[{"id":"a/b:{c} %"},{"id":"é"}]`).want(t, 200, `{"status":"success","count":2}`)
	f.send(t, "GET", "/item/a%2Fb%3A%7Bc%7D%20%25", "").want(t, 200, `{"item":{"id":"a/b:{c} %"},"source":"cache"}`)
	f.send(t, "GET", "/item/%C3%A9", "").want(t, 200, `{"item":{"id":"é"},"source":"cache"}`)
	f.send(t, "GET", "/item/%c3%a9", "").want(t, 200, `{"item":{"id":"é"},"source":"cache"}`)
}

func TestUUIDIsLowerCased(t *testing.T) {
	f := newFixture(t)
	const id = "123e4567-e89b-12d3-a456-42661417400b"
	f.send(t, "POST", "/bares", `[{"id":"`+strings.ToUpper(id)+`"}]`).want(t, 200, `{"status":"success","count":1}`)
	for range 2 {
		a := f.send(t, "GET", "/bare/"+id, "")
		a.want(t, 200, `{"id":"`+strings.ToUpper(id)+`"}`)
		a.wantHeader(t, "Cache-Control", "public, max-age=60")
		f.send(t, "GET", "/bare/"+strings.ToUpper(id), "").want(t, 200, a.body)
	}
}

// A literal path beats a parameter on both ways, the fast one too.
func TestLiteralPathShadowsParameter(t *testing.T) {
	f := newFixture(t)
	f.send(t, "POST", "/batch_process", `[{"id":"count"}]`).want(t, 200, `{"status":"success","count":1}`)
	for n := range 3 {
		f.send(t, "GET", "/item/count", "").want(t, 200, `{"current_requests":`+string(rune('1'+n))+`}`)
		f.send(t, "GET", "/item/coun%74", "").want(t, 200, `{"item":{"id":"count"},"source":"cache"}`)
	}
}

func TestGzipVariant(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		f.send(t, "GET", "/user/9", "")
	}
	plain := f.send(t, "GET", "/user/9", "")
	plain.wantHeader(t, "Vary", "Accept-Encoding")
	plain.wantHeader(t, "Content-Encoding", "")
	packed := f.send(t, "GET", "/user/9", "", "Accept-Encoding: br, gzip;q=0.5")
	packed.wantHeader(t, "Vary", "Accept-Encoding")
	packed.wantHeader(t, "Content-Encoding", "gzip")
	packed.wantHeader(t, "ETag", plain.Header.Get("ETag"))
	r, err := gzip.NewReader(strings.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || string(got) != plain.body {
		t.Errorf("unpacked: got %.60q (%v), want %.60q", got, err, plain.body)
	}
	f.send(t, "GET", "/user/9", "", "Accept-Encoding: gzip;q=0").want(t, 200, plain.body)
	f.send(t, "GET", "/user/9", "", "Accept-Encoding: gzip", "If-None-Match: "+plain.Header.Get("ETag")).want(t, 304, "")
	f.send(t, "GET", "/user/1", "").wantHeader(t, "Vary", "")
}

func TestManyRead(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/user/1", "")
	a := f.send(t, "GET", "/user?user_id=1&user_id=404&user_id=01", "")
	a.want(t, 200, `[{"user":{"id":1,"name":"张三"},"source":"cache"},{"user":null,"source":"db"},{"user":{"id":1,"name":"张三"},"source":"cache"}]`)
	a.wantHeader(t, "ETag", "")
	a.wantHeader(t, "Cache-Control", "no-cache")
	f.send(t, "GET", "/user?x=%zz&user%5Fid=%31&=&user_id", "").wantProblem(t, 422, "value 1 counted from 0, must not be empty")
	f.send(t, "GET", "/user?user%5Fid=%31&other=2", "").want(t, 200, `[{"user":{"id":1,"name":"张三"},"source":"cache"}]`)
	f.send(t, "GET", "/user", "").wantProblem(t, 422, `"user_id" is missing`)
	f.send(t, "GET", "/user?user_id=1&user_id=2&user_id=3&user_id=4", "").wantProblem(t, 422, "more than 3 times")
	f.send(t, "GET", "/user?user_id=1&user_id=x", "").wantProblem(t, 422, "value 1 counted from 0, must be an integer")
	f.send(t, "GET", "/user?user_id=%2", "").wantProblem(t, 400, "percent sign")
	f.send(t, "GET", "/user/?user_id=1", "").wantProblem(t, 404, "nothing is served")
	f.send(t, "GET", "/bare?bare_id=123e4567-e89b-12d3-a456-42661417400b", "").want(t, 200, `[null]`)
	f.send(t, "GET", "/pair", "").wantProblem(t, 404, "nothing is served")
}

// TestHotRecordsAreLoadedAheadOfTheirExpiry reads one record until a change of the source shows,
// and was not shown by the load itself. A machine that stalls for a tenth of the lifetime brings
// a reader too late for the load ahead: then the next lifetime is looked at.
func TestHotRecordsAreLoadedAheadOfTheirExpiry(t *testing.T) {
	for name, target := range map[string]string{"the fast path": "/user/1", "the slow path": "/user/%31", "many": "/user?user_id=1"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config, _ *Deps) {
				c.Resources[0].Cache.TTL = cache.Lifetimes{Cold: time.Second, Hot: time.Second, Missing: time.Second}
			})
			warm(t, f, "/user/1")
			change := func(lifetime int) (name string) {
				name = fmt.Sprintf("lifetime %d", lifetime)
				f.people.mu.Lock()
				defer f.people.mu.Unlock()
				f.people.rows["1"] = fmt.Sprintf(`{"id":1,"name":%q}`, name)
				return name
			}
			const lifetimes = 10
			deadline := time.Now().Add(3 * lifetimes * time.Second)
			for lifetime := range lifetimes {
				for name := change(lifetime); ; {
					a := f.send(t, "GET", target, "")
					if a.StatusCode != 200 || time.Now().After(deadline) {
						t.Fatalf("the change does not show: %d %s", a.StatusCode, a.body)
					}
					if ahead := strings.Contains(a.body, `"source":"cache"`); !ahead {
						t.Logf("a reader waited for the load: %s (%s)", a.body, a.Header.Get("Cache-Status"))
						break
					} else if strings.Contains(a.body, name) {
						return
					}
				}
			}
			t.Error("in each lifetime a reader waited for the load")
		})
	}
}

package handlers

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/metrics"
	"hearth/internal/param"
)

// Whatever a path is, the fast path and the slow path find the same record behind
// it, or the fast path none; operators who invalidate by path find it, too; and
// its key is one that they may name.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/user/1", "/user/01", "/item/a%2Fb", "/item/%61", "/item/é", "/item/..", "/pair/a/of/2", "/user/", "//user/1",
		"/bare/123E4567-e89b-12d3-a456-426614174000", "/item/count", "/user/1?x#y", "/item/a b", "/user/+1", "/item/%zz"} {
		f.Add(seed)
	}
	s := &Server{}
	config := demoConfig(&people{})
	for _, c := range config.Resources {
		s.resources = append(s.resources, newResource(c, &s.cors, metrics.New("test")))
	}
	f.Fuzz(func(t *testing.T, path string) {
		key, ok := s.KeyOfPath(path)
		if !ok {
			return
		}
		if !s.IsKey(key) {
			t.Fatalf("%q has the key %q, which is that of no record", path, key)
		}
		if strings.ContainsAny(key, "\r\n \x00{}/") || strings.HasPrefix(key, "hearth:") {
			t.Fatalf("%q has the key %q", path, key)
		}
		steps := strings.Split(path[1:], "/")
		if strings.Count(path, "/") != len(steps) {
			t.Fatalf("%q has %d steps", path, len(steps))
		}
		s.sameKey(t, path, key)
	})
}

// sameKey reads the last segment of a path as the fast path and as the slow one
// do, and compares keys.
func (s *Server) sameKey(t *testing.T, path, key string) {
	t.Helper()
	cut := strings.LastIndexByte(path, '/') + 1
	for _, res := range s.resources {
		if len(res.params) != 1 || "/"+res.path[0].Literal+"/" != path[:cut] {
			continue
		}
		raw := []byte(path[cut:])
		if res.params[0].Type.IsCanonical(raw) {
			if hot := string(res.key.One(nil, raw)); hot != key {
				t.Fatalf("%q is the record %q to the fast path, %q to operators", path, hot, key)
			}
		}
		ctx := &fasthttp.RequestCtx{}
		ctx.SetUserValue(res.values[0], path[cut:])
		slow, _, err := res.locate(ctx)
		if err != nil || slow != key {
			t.Fatalf("%q is the record %q to the router (%v), %q to operators", path, slow, err, key)
		}
	}
}

// A many-read asks for what net/url finds in the query, in that order.
func FuzzMany(f *testing.F) {
	for _, seed := range []string{"user_id=1&user_id=2", "user_id=1;user_id=2", "user%5Fid=1", "user_id=%31&x=%zz", "user_id", "user_id=+1", "&&user_id=1&", "user_id=1=2"} {
		f.Add(seed)
	}
	params := []param.Param{{Name: "user_id", Type: param.String}}
	res := &resource{Resource: &cache.Resource{Name: "user"}, params: params, key: param.NewKey([]param.Part{{Literal: "user:"}, {Param: "user_id"}}, params)}
	f.Fuzz(func(t *testing.T, query string) {
		keys, args, err := res.locateMany([]byte(query), 5)
		if err != nil {
			return
		}
		// net/url drops members with semicolons, which are text here.
		values, _ := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
		var texts []string
		for i, a := range args {
			texts = append(texts, a[0].(string))
			if want := "user:" + param.Encode(texts[i]); keys[i] != want {
				t.Errorf("%q: the key of %q is %q, want %q", query, texts[i], keys[i], want)
			}
		}
		if !slices.Equal(texts, values["user_id"]) {
			t.Errorf("%q: got %q, net/url finds %q", query, texts, values["user_id"])
		}
	})
}

package handlers

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"hearth/cache"
	"hearth/internal/source"
)

// keyLog is a tier that notes what it is asked for, and has nothing.
type keyLog struct {
	broken
	mu   sync.Mutex
	keys []string
}

func (l *keyLog) note(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, keys...)
}

func (l *keyLog) taken() (keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys, l.keys = l.keys, nil
	return keys
}

func (l *keyLog) Read(_ context.Context, _ *cache.Resource, key string, _ source.Args) (cache.Answer, error) {
	l.note(key)
	return cache.Answer{}, l.err
}

func (l *keyLog) ReadMany(_ context.Context, _ *cache.Resource, keys []string, _ []source.Args) ([]cache.Answer, error) {
	l.note(keys...)
	return nil, l.err
}

func (l *keyLog) Increment(_ context.Context, key string) (int64, error) {
	l.note(key)
	return 0, l.err
}

// FuzzFind: what a target is said to be about is what the server asks its tiers for when a
// client sends that target, and what is said to be refused is refused with that status.
func FuzzFind(f *testing.F) {
	long := strings.Repeat("x", 600)
	for _, seed := range []string{"/", "/user/1", "/user/01", "/user/1?x=1#y", "/user/x", "/user/", "/user", "/user?user_id=1&user_id=02", "/user?user_id=1&user_id=2&user_id=3&user_id=4",
		"/user?user_id=x", "/item/a%2Fb", "/item/%61", "/item/%zz", "/item/%00", "/item/é", "/item/..", "/item/.", "/item/count", "/item/%63ount", "/pair/a/of/2", "/pair/a/of",
		"//user/1", "/user//1", "/user/1/", "/USER/1", "/us%65r/1", "/concurrent_test", "/concurrent_test?x", "/batch_process", "/docs", "/openapi.json", "/healthz", "/nothing",
		"/bare/123E4567-e89b-12d3-a456-426614174000", "/item/" + long, "/item/" + strings.Repeat("x", 3000), "/user/99999999999999999999", "/item/a;b=c", "/item/a+b", "/item/\xff", "/item/{s1}", "/user/{user_id}"} {
		f.Add(seed)
	}
	fixture := newFixture(f)
	log := &keyLog{broken: broken{err: cache.ErrUnavailable}}
	fixture.reads, fixture.counters = log, log
	most := fixture.config.MaxHeader
	f.Fuzz(func(t *testing.T, target string) {
		blank := func(c rune) bool { return c <= ' ' || c == 0x7f }
		if !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, blank) || len(target) > most-100 && len(target) < most {
			return // no target of a request that explain takes, or one that other fields decide about
		}
		found := fixture.Find(target)
		log.taken()
		fixture.sameRecord(t, target, found)
		got := fixture.send(t, "GET", target, "")
		asked := log.taken()
		switch found.Kind {
		case KindNone:
			if len(asked) > 0 || got.StatusCode != found.Status {
				t.Fatalf("%q is said to be refused with %d (%s), and is answered %d and asked for as %q", target, found.Status, found.Detail, got.StatusCode, asked)
			}
		case KindFixed:
			if len(asked) > 0 || got.StatusCode != 200 {
				t.Fatalf("%q is said to need no tier, and is answered %d and asked for as %q", target, got.StatusCode, asked)
			}
		default:
			if !slices.Equal(asked, found.Keys) || got.StatusCode != 503 {
				t.Fatalf("%q is said to be about %q, and is asked for as %q and answered %d", target, found.Keys, asked, got.StatusCode)
			}
		}
	})
}

// sameRecord: the record that operators name by a path is the one that a GET of it is about.
func (f *fixture) sameRecord(t *testing.T, path string, found Found) {
	t.Helper()
	key, ok := f.KeyOfPath(path)
	if !ok || strings.ContainsAny(path, "?#") || found.Kind == KindNone { // KeyOfPath takes no query
		return
	}
	if found.Kind != KindRecord || found.Keys[0] != key {
		t.Fatalf("%q has the key %q to operators, and a GET of it is about %q (kind %d)", path, key, found.Keys, found.Kind)
	}
}

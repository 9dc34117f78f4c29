package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/config"
	"hearth/internal/limit"
)

// openApp builds a server on the embedded tier. again is what a reload reads.
func openApp(t *testing.T, again func() (*config.Config, error), lines ...string) *App {
	t.Helper()
	cfg := load(t, append([]string{"[embedded]", `path = "` + filepath.Join(t.TempDir(), "tier.db") + `"`}, lines...)...)
	a, err := Open(cfg, Process{Version: "test", Log: NewLog(cfg.Log, io.Discard), Load: again})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// TestFixedKeys: what cannot change is named, all of it at once; the rest may.
func TestFixedKeys(t *testing.T) {
	old := load(t)
	next := load(t, `[server]`, `listen = "127.0.0.1:1"`, `max_in_flight = 7`, `[redis]`, `url = "redis://h"`, `[memory]`, `budget = "3MiB"`, `link_timeout = "3s"`, `[load]`, `lease = "59s"`)
	next.Embedded = old.Embedded // which is relative to the file, and each is in a place of its own
	err := fixed(old, next)
	if err == nil {
		t.Fatal("everything may change")
	}
	for _, want := range []string{"server.listen", "redis.url", "memory.link_timeout", "load.lease"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in %q", want, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 4 {
		t.Errorf("%d faults, want 4: %v", lines, err)
	}
	next = load(t, `[server]`, `max_in_flight = 7`, `drain = "1s"`, `[memory]`, `budget = "3MiB"`)
	next.Embedded = old.Embedded
	if err := fixed(old, next); err != nil {
		t.Error(err)
	}
}

// TestAGenerationTakesOver what is defined as before, and nothing else.
func TestAGenerationTakesOver(t *testing.T) {
	base := []string{`[database]`, `url = "sqlite:` + filepath.Join(t.TempDir(), "x.db") + `"`, `MARK`}
	resources := func(ttl, origin string) []string {
		return []string{
			`[[resource]]`, `name = "a"`, `path = "/a/{id:int}"`, `key = "a:{id}"`, `select = "SELECT {id}"`,
			`[[resource]]`, `name = "b"`, `path = "/b/{id:int}"`, `key = "b:{id}"`, `select = "SELECT {id}"`, `ttl = { cold = "` + ttl + `" }`,
			`[[resource]]`, `name = "c"`, `path = "/c/{id:int}"`, `key = "c:{id}"`, `origin = "` + origin + `"`,
			`[[limit]]`, `name = "one"`, `paths = ["/*"]`, `rate = "5/s"`,
			`[[limit]]`, `name = "two"`, `paths = ["/*"]`, `rate = "` + strings.TrimSuffix(ttl, "h") + `/s"`,
		}
	}
	lines := func(mark, ttl, origin string) []string {
		all := append([]string{}, base...)
		all[2] = mark
		return append(all, resources(ttl, origin)...)
	}
	a := openApp(t, nil, lines(`max_conns = 3`, "1h", "http://h/{id}")...)
	first := a.current.Load()
	second, err := a.assemble(load(t, lines(`max_conns = 3`, "2h", "http://h/{id}")...), first)
	if err != nil {
		t.Fatal(err)
	}
	if second.db != first.db || second.resources[0].cached != first.resources[0].cached || second.resources[2].origin != first.resources[2].origin || second.limits[0] != first.limits[0] {
		t.Error("what has not changed was made anew")
	}
	if second.resources[1].cached == first.resources[1].cached || second.limits[1] == first.limits[1] {
		t.Error("what has changed was taken over")
	}
	if l := first.minus(second); len(l.limits) == 0 || l.hasSources() {
		t.Errorf("the first leaves %+v; want only limits", l)
	}
	third, err := a.assemble(load(t, lines(`max_conns = 4`, "2h", "http://other/{id}")...), second)
	if err != nil {
		t.Fatal(err)
	}
	if third.db == second.db || third.resources[0].cached == second.resources[0].cached || third.resources[2].origin == second.resources[2].origin {
		t.Error("another database, or origin, and the old one is used")
	}
	if l := second.minus(third); len(l.limits) != 0 || !l.hasSources() {
		t.Errorf("the second leaves %+v; want only sources", l)
	}
	third.minus(second).close(a.log)
	second.minus(first).close(a.log)
}

// TestAFailedReloadChangesNothing, wherever it fails.
func TestAFailedReloadChangesNothing(t *testing.T) {
	var next *config.Config
	var fault error
	a := openApp(t, func() (*config.Config, error) { return next, fault })
	first := a.current.Load()
	f := func(want string, lines ...string) {
		t.Helper()
		next, fault = first.cfg, nil
		if lines == nil {
			fault = errors.New("no such file")
		} else {
			cfg := *load(t, lines...)
			cfg.Embedded = first.cfg.Embedded
			next = &cfg
		}
		if err := a.reload(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error that names %q", lines, err, want)
		}
		if a.current.Load() != first || a.front.Current() != first.front || len(a.retiring) != 0 {
			t.Errorf("%q: something has changed", lines)
		}
	}
	f("no such file")
	f("server.admin", `[server]`, `admin = "0.0.0.0:1"`)
	f("load.lease", `[load]`, `lease = "1s"`)
	f("unknown placeholder", `[database]`, `url = "sqlite:x.db"`,
		"[[resource]]\nname = \"u\"\npath = \"/u/{id:int}\"\nkey = \"u:{id}\"\nselect = \"SELECT {nobody} WHERE id = {id}\"")
}

// TestLog: level and format change under a logger that was made before, with all
// that was added to it.
func TestLog(t *testing.T) {
	var out strings.Builder
	l := NewLog(config.Log{Level: "warn", Format: "text"}, &out)
	log := l.Logger().With("a", 1).WithGroup("g").With("b", 2)
	log.Info("unheard")
	log.Warn("text")
	l.Set(config.Log{Level: "info", Format: "json"})
	log.Info("json", "c", 3)
	if log.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("debug is enabled")
	}
	text, json, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	if !strings.HasSuffix(text, `level=WARN msg=text a=1 g.b=2`) {
		t.Errorf("text line %q", text)
	}
	if !strings.HasSuffix(json, `"level":"INFO","msg":"json","a":1,"g":{"b":2,"c":3}}`) {
		t.Errorf("json line %q", json)
	}
}

// TestDenialsAddUp: a limit that is replaced goes on counting, and what its
// predecessors still refuse counts, too.
func TestDenialsAddUp(t *testing.T) {
	var n numbers
	var all []*limit.Limiter
	rate := limit.Rate{Count: 1, Window: 1000 * time.Hour}
	for range 11 {
		l := limit.New(limit.Config{Name: "x", Rate: rate, Store: limit.NewLocalStore(nil), Denied: n.denied.of("x")})
		t.Cleanup(l.Close)
		all = append(all, l)
		for range 3 {
			l.Take(t.Context(), nil)
		}
	}
	last := all[len(all)-1]
	if got, want := last.Denied(), int64(2*len(all)); got != want {
		t.Errorf("%v refused, want %v", got, want)
	}
	all[len(all)-2].Take(t.Context(), nil)
	if got, want := last.Denied(), int64(2*len(all)+1); got != want {
		t.Errorf("%v refused, want %v", got, want)
	}
	if got := n.denied.of("y").Load(); got != 0 {
		t.Errorf("another limit has refused %v", got)
	}
}

// TestAProbeThatHangs is reported each time, and begun once only.
func TestAProbeThatHangs(t *testing.T) {
	p := selfProbe{stuck: make(chan error, 1)} // as a check leaves it that has not come back
	if err := p.run(time.Millisecond); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v", err)
	}
	stuck := p.stuck
	if err := p.run(time.Millisecond); err == nil || p.stuck != stuck {
		t.Errorf("got %v", err)
	}
	p.stuck = make(chan error, 1)
	done := p.stuck
	done <- nil // it has come back after all
	if err := p.run(patience); err != nil || p.stuck != nil {
		t.Errorf("got %v", err)
	}
}

const patience = 20 * time.Second

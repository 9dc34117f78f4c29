package cache

import (
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestBlindReads: where Redis refuses CLIENT TRACKING everything works,
// and memory keeps what it reads for a moment only, marked.
func TestBlindReads(t *testing.T) {
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">secret", "~*", "+@all", "-client|tracking")
	c := open(t, testConfig(), func(cfg *setup) {
		cfg.Redis.URL = "redis://hearth:secret@" + redis.Addr()
		cfg.UntrackedTTL = time.Minute // so that the test need not hurry
	})
	testkit.Eventually(t, patience, "redis is used without tracking", func() bool { return c.Up() == nil })
	item := NewResource("item", "item", Lifetimes{Stale: time.Minute}, nil)
	key := keyOf(t, 1)
	if errs := c.Store(t.Context(), []Item{{Key: key, Value: []byte(`{"v":1}`)}}, 0); errs != nil {
		t.Fatal(errs)
	}
	want := func(tier Tier, data string) {
		t.Helper()
		a, err := c.Read(t.Context(), item, key, nil)
		if err != nil || a.Tier != tier || string(a.Data()) != data || a.Detail != "untracked" {
			t.Errorf("read %s from %v (detail %q), error %v; want %s from %v, untracked", a.Data(), a.Tier, a.Detail, err, data, tier)
		}
	}
	want(TierRedis, `{"v":1}`)
	want(TierMemory, `{"v":1}`)
	if e, _ := c.Hit(item, []byte(key), time.Now()); e != nil {
		t.Error("an untracked entry counts as a hit")
	}
	// An own write is seen at once all the same.
	if errs := c.Store(t.Context(), []Item{{Key: key, Value: []byte(`{"v":2}`)}}, 0); errs != nil {
		t.Fatal(errs)
	}
	want(TierRedis, `{"v":2}`)
	answers, err := c.ReadMany(t.Context(), item, []string{key, keyOf(t, 2)}, make([]source.Args, 2))
	if err != nil || string(answers[0].Data()) != `{"v":2}` || !answers[1].Entry.Missing() {
		t.Errorf("many-read: %v, error %v", answers, err)
	}
}

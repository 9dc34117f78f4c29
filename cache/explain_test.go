package cache

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// foretold explains a key, reads it, and compares: the tier, whether there is a record, and
// the mark. others are tiers that a read which has to wait may come from as well.
func (d *desk) foretold(what, id string, want Tier, others ...Tier) {
	d.t.Helper()
	reads := d.store.Rate(d.key(id))
	got := d.Explain(within(d.t), d.r, d.key(id), false)
	if after := d.store.Rate(d.key(id)); after > reads {
		d.t.Errorf("%s: explaining counts as a read", what)
	}
	if got.Next.Tier != want.String() || got.Next.Sentence == "" {
		d.t.Errorf("%s: foretold %+v, want %v; memory %+v, shared %+v", what, got.Next, want, got.Memory, got.Shared)
	}
	a, err := d.read(id)
	switch {
	case want == TierNone && err == nil:
		d.t.Errorf("%s: foretold an error, got %s from %v", what, a.Data(), a.Tier)
	case want == TierNone:
		status := 503
		if errors.Is(err, ErrNotJSON) {
			status = 502
		} else if errors.Is(err, ErrRefused) {
			status = 500
		}
		if got.Next.Status != status {
			d.t.Errorf("%s: foretold %+v, got %v, which is %d", what, got.Next, err, status)
		}
		return
	case err != nil:
		d.t.Errorf("%s: foretold %v, got %v", what, got.Next, err)
		return
	}
	right := a.Tier == want
	for _, other := range others {
		right = right || a.Tier == other
	}
	status := 200
	if a.Entry.Missing() {
		status = 404
	}
	if !right || got.Next.Status != 0 && got.Next.Status != status || got.Next.Detail != a.Detail {
		d.t.Errorf("%s: foretold %+v, got %d from %v, marked %q", what, got.Next, status, a.Tier, a.Detail)
	}
}

// TestExplainForetells compares what explain says with what the next read really does.
func TestExplainForetells(t *testing.T) {
	t.Parallel()
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		d := newDesk(t, open(t), newLedger("1", "1", "2", "2"))
		d.foretold("cold", "1", TierSource)
		d.foretold("in the shared tier only", "1", d.shared)
		d.foretold("fresh in memory", "1", TierMemory)
		d.foretold("no such record", "absent", TierSource)
		d.foretold("no such record, in the shared tier", "absent", d.shared)
		d.foretold("no such record, in memory", "absent", TierMemory)
		e, _ := d.Hit(d.r, []byte(d.key("1")), time.Now())
		d.expireAt(e, d.store.Now())
		d.foretold("expired in memory", "1", d.shared)
		d.mustPut("1", "3")
		d.foretold("just written", "1", d.shared, TierMemory)

		bare := newDesk(t, d.Cache, nil)
		bare.foretold("no source, absent", "none", d.shared)
		if errs := d.Store(within(t), []Item{{Key: d.key("bare"), Value: []byte(`"x"`)}}, 0); errs != nil {
			t.Fatal(errs)
		}
		bare.foretold("no source, there", "bare", d.shared)
		bare.foretold("no source, in memory", "bare", TierMemory)
	})
}

// TestExplainForetellsOverRedis: what only Redis can hold, and its absence.
func TestExplainForetellsOverRedis(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", "1", "2", "2", "3", "3", "4", "4"))
	bare := newDesk(t, d.Cache, nil)
	srv.Do("SET", d.key("1"), "no json")
	d.foretold("malformed", "1", TierSource)
	srv.Do("SET", d.key("odd"), "no json")
	bare.foretold("malformed without a source", "odd", TierNone)
	srv.Do("SET", d.key("2"), shared.LeasePrefix+shared.NewToken(), "PX", "300")
	d.foretold("a lease of another", "2", TierRedis, TierSource)
	srv.Do("SET", d.key("3"), shared.GuardPrefix+shared.NewToken()+":9999999999999", "PX", "300")
	d.foretold("a guard of another", "3", TierRedis, TierSource)
	srv.Do("SET", d.key("4"), "4", "PX", "60000")
	d.foretold("another program's value", "4", TierRedis)
	d.warm("1", "1")
	e, _ := d.Hit(d.r, []byte(d.key("1")), time.Now())
	d.store.KeepFor(e, e.Epoch(), memory.Life{Until: d.store.Now(), Ends: d.store.Now(), RefreshAt: memory.Never})
	srv.Kill()
	testkit.Eventually(t, patience, "Redis is away", func() bool { return d.Up() != nil })
	d.foretold("away, with a copy", "4", TierStale)
	d.foretold("away, without a copy", "2", TierSource)
	d.foretold("away, with a copy of a moment ago", "2", TierMemory, TierSource)
	d.foretold("away, with a copy whose lifetime is over", "1", TierSource)
	bare.foretold("away, without a source", "bare", TierNone)
	srv.Start()
}

// TestExplainTellsWhoVouches: the link, and what stands in the key.
func TestExplainTellsWhoVouches(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	d := newDesk(t, openRedis(t, srv), newLedger("1", `{"v":1}`))
	d.wantRead("1", `{"v":1}`, TierSource)
	d.wantRead("1", `{"v":1}`, TierRedis)
	got := d.Explain(within(t), d.r, d.key("1"), false)
	m, s := got.Memory, got.Shared
	if !m.Held || !m.Fresh || m.Link == nil || !m.Link.Open || !m.Link.Proven || m.Link.Flushed || m.Left <= 0 || m.Bytes != len(`{"v":1}`) {
		t.Errorf("memory: %+v, link %+v", m, m.Link)
	}
	if s.State != "value" || !s.Same || s.Left <= 0 || s.Tier != "redis" || s.Bytes != len(`{"v":1}`) {
		t.Errorf("shared: %+v", s)
	}
	if !strings.Contains(got.Next.Sentence, "vouches") {
		t.Errorf("next: %+v", got.Next)
	}
}

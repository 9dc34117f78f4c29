package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/protocol"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// repertoire is what is played: casts and accidents that the model shows to be
// survived.
var repertoire = []protocol.Setup{
	{Cast: "W0 W1 R0 R1", Faults: protocol.Faults{Expire: true}},
	{Cast: "W0 W1 R0 R0 R1 D", Faults: protocol.Faults{Expire: true}, Start: protocol.Filled},
	{Cast: "W0 W1 W0 R0 R1", Faults: protocol.Faults{Crash: true}, Start: protocol.Warm},
	{Cast: "W0 W1 R1 X0", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "W0 D R0 R1 K", Faults: protocol.Faults{Expire: true}},
	{Cast: "W0 S R0 R1 X0 X1", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "W0 R0 R0 R1", Faults: protocol.Faults{Expire: true, Links: true}, Start: protocol.Warm},
	{Cast: "W0 W0 R0 R0 R1 R1", Faults: protocol.Faults{Expire: true}, Start: protocol.Filled},
	{Cast: "W0 W1 R0 R1", Faults: protocol.Faults{Commit: protocol.CommitInDoubt}},
	{Cast: "W0 W1 R0 R1 D", Faults: protocol.Faults{Commit: protocol.CommitUnanswered, Expire: true}, Start: protocol.Filled},
	{Cast: "W0 W0 R0 R0 R1 X0", Faults: protocol.Faults{Commit: protocol.CommitUnanswered, Expire: true}, Start: protocol.Warm},
	{Cast: "W0 W1 R0 R1 X1", Rules: protocol.Rules{Unguard: protocol.UnguardDeletes}, Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "W0 W1 R0 R1 X0", Faults: protocol.Faults{Crash: true}, Start: protocol.Warm},
	{Cast: "S D R0 R1 X1 K", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "R0 R1 K K X0", Faults: protocol.Faults{Expire: true}, Start: protocol.Filled},
	{Cast: "E0 F W0 W1 R0 R1", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "E0 E1 F W0 R0 R1", Faults: protocol.Faults{Crash: true, Expire: true}, Start: protocol.Filled},
	{Cast: "E1 F F R0 R1 X0", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "E0 W0 W1 R1 X0", Faults: protocol.Faults{Crash: true}, Start: protocol.Warm},
	{Cast: "E1 F W0 R0 R1", Faults: protocol.Faults{Commit: protocol.CommitUnanswered, Expire: true}},
	{Cast: "E0 W0 R0 R1", Faults: protocol.Faults{Commit: protocol.CommitOutlivesGuard, Expire: true}},
	{Cast: "E0 F D W1 R0 R1", Faults: protocol.Faults{Links: true}, Start: protocol.Warm},
	{Cast: "W0 W1 P0 R0 R1", Faults: protocol.Faults{Expire: true}, Start: protocol.Filled},
	{Cast: "W0 W1 P0 P0 P1", Faults: protocol.Faults{Expire: true}},
	{Cast: "W1 P0 R0 R1 X1", Faults: protocol.Faults{Expire: true}, Start: protocol.Warm},
	{Cast: "W0 W1 P0 R0", Faults: protocol.Faults{Expire: true, Links: true}, Start: protocol.Warm},
	{Cast: "E0 F W1 P0 P1 R0", Faults: protocol.Faults{Expire: true}, Start: protocol.Filled},
	{Cast: "W0 D P0 P0 R1", Faults: protocol.Faults{Commit: protocol.CommitUnanswered, Expire: true}},
}

// unplayable are acts of variants, of accidents that are not staged, and of readers that bring a
// version, which the model check of the cache plays (TestModel), and TestReadYourWritesElsewhere.
var unplayable = map[protocol.Act]bool{
	protocol.FlushesForeign: true, protocol.ReplaysKept: true, protocol.DropsCopy: true, protocol.FailsToRemoveGuard: true, protocol.TakesArmed: true,
	protocol.ReplicaCatchesUp: true, protocol.FailsOver: true, protocol.LearnsOfPromotion: true, protocol.TakesOver: true,
	protocol.EndsHold: true, protocol.InstanceDies: true, protocol.InstanceStarts: true,
	protocol.BringsVersion: true, protocol.AnswersMemory: true, protocol.JoinsRead: true,
}

// traceOf walks the model. The seed says everything about the trace.
func traceOf(t *testing.T, seed uint64) (protocol.Trace, *rand.Rand) {
	m, err := protocol.New(repertoire[seed%uint64(len(repertoire))])
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	return m.Walk(rng, 100, func(at protocol.State, st *protocol.Step) int { return weigh(m, at, st) }), rng
}

// weigh says how often a step is taken, and leaves out those which the real
// code does not take in that state. It takes them later: it is stricter.
func weigh(m *protocol.Model, at protocol.State, st *protocol.Step) int {
	// A refresh that is refused gives its lease back in the same step.
	if n := at.Refresher; n != protocol.NoProcess && at.Processes[n].Phase == protocol.Done && st.Act != protocol.RefreshLeaseExpires {
		return 0
	}
	switch st.Act {
	case protocol.ReadsPlain: // one at a time does, if no tracked read is there to be joined, and memory has nothing
		if another(m, at, st, protocol.Asking) || joinable(m, at, st) || at.Instances[m.Processes[st.Process].Instance].Memory != protocol.NoVersion {
			return 0
		}
	case protocol.TakesReply, protocol.TakesPlainReply: // one reader of an instance at a time tries to get the lease
		if st.After.Processes[st.Process].Phase == protocol.Acquiring && another(m, at, st, protocol.Acquiring) {
			return 0
		}
	case protocol.LearnsOutcome: // one round of questions at a time
		if writerIn(m, at, st, protocol.Resolved, protocol.Unguarded) {
			return 0
		}
	case protocol.AnswersPass: // what is being settled is not stopped for twice
		if writerIn(m, at, st, protocol.Resolved, protocol.Unguarded) {
			return 0
		}
	case protocol.PassesGuard, protocol.PassesOpenWrite: // and one at a time loads past a guard
		if another(m, at, st, protocol.Passing) {
			return 0
		}
	case protocol.Dies, protocol.DiesInCommit, protocol.LinkBreaks: // which end what is under way
		return 1
	case protocol.Expires, protocol.RefreshLeaseExpires:
		return 3
	}
	return 8
}

// another tells whether another reader of the instance is in that phase.
func another(m *protocol.Model, at protocol.State, st *protocol.Step, phase protocol.Phase) bool {
	for n, p := range m.Processes {
		if n != int(st.Process) && p.Instance == m.Processes[st.Process].Instance && at.Processes[n].Phase == phase {
			return true
		}
	}
	return false
}

// TestConformance plays traces of the model with the real code and a real Redis,
// step by step, and demands after each step that Redis, the messages under way
// and both memories are what the model says. So neither of the two can
// be changed without the other.
func TestConformance(t *testing.T) {
	t.Parallel()
	least, lasts := 10*len(repertoire), 8*time.Second
	if testkit.Long() {
		lasts = 3 * time.Minute
	}
	seed := modelSeed(t)
	co := newCompany(t, nil)
	for end := now().Add(lasts); co.plays < least || now().Before(end); {
		n := uint64(co.plays) // fixed ones and new ones in turn
		of := seed + n/2
		if n%2 == 0 {
			of = n / 2
		}
		trace, rng := traceOf(t, of)
		if err := co.play(trace, rng); err != nil {
			t.Fatalf("HEARTH_SEED=%d: the real code departs from the model: %v", of, err)
		}
	}
	co.checkCounts()
}

// checkCounts fails when the plays cannot have shown anything.
func (co *company) checkCounts() {
	t := co.t
	for act, n := range co.acts {
		if n == 0 && !unplayable[protocol.Act(act)] {
			t.Errorf("no play had the act %q", protocol.Act(act))
		}
	}
	for what, n := range map[string]int{
		"memory never held what it had to": co.memories, "no read went beside a poisoned one": co.plain,
		"no fill or refresh was refused": co.refused, "no record was missing": co.nulls,
		"the feed spared no own write": co.spared, "no plain read was answered": co.unkept, "no guard was renewed": co.renewals, "no refresh was refused its lease": co.unclaimed,
	} {
		if n == 0 {
			t.Error(what)
		}
	}
	if co.exact < co.looks*95/100 {
		t.Errorf("only %d of %d looks found all that the model has", co.exact, co.looks)
	}
	t.Logf("%d plays, %d steps; %d of %d looks found all that the model has, %d a value in memory; %d plain reads, %d refusals",
		co.plays, co.steps, co.exact, co.looks, co.memories, co.plain, co.refused)
}

// TestConformanceNotices replaces a step of the tier by a wrong one. The plays
// have to find that.
func TestConformanceNotices(t *testing.T) {
	f := func(name string, replace func(c *Cache, whole SharedTier) SharedTier) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			co := newCompany(t, replace)
			for seed := range uint64(300) {
				trace, rng := traceOf(t, seed)
				if err := co.play(trace, rng); err != nil {
					t.Logf("noticed in play %d: %v", co.plays, err)
					return
				}
			}
			t.Errorf("%d plays do not notice it", co.plays)
		})
	}
	f("a blind fill", func(_ *Cache, whole SharedTier) SharedTier { return blindFill{whole} })
	f("a guard removed only if own", func(_ *Cache, whole SharedTier) SharedTier { return ownUnguard{whole} })
	f("guards that are not joined", func(_ *Cache, whole SharedTier) SharedTier { return loneGuard{whole} })
	f("a refresh that does not compare", func(_ *Cache, whole SharedTier) SharedTier { return blindRefresh{whole} })
	f("a lost guard that is not set anew", func(_ *Cache, whole SharedTier) SharedTier { return lastingLoss{whole} })
	f("a feed that leaves guards as they are", func(_ *Cache, whole SharedTier) SharedTier { return shyFeed{whole} })
	f("a feed that takes guards away", func(_ *Cache, whole SharedTier) SharedTier { return rudeFeed{whole} })
	f("memory keeps what it filled", func(c *Cache, whole SharedTier) SharedTier { return keptFill{whole, c} })
	f("memory keeps what a plain read brought", func(c *Cache, whole SharedTier) SharedTier { return keptPlain{whole, c} })
}

// blindFill SETs what it has loaded whatever stands there.
type blindFill struct{ SharedTier }

func (b blindFill) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	if stored, err := b.SharedTier.Fill(ctx, key, token, value, ttl); stored || err != nil {
		return stored, err
	}
	return false, errors.Join(b.Set(ctx, []Item{{Key: key, Value: value}}, 0)...)
}

// ownUnguard leaves alone what is not its own guard.
type ownUnguard struct{ SharedTier }

func (o ownUnguard) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error {
	if got := o.RenewGuards(ctx, []shared.HeldGuard{{Key: key, Token: token}}); got[0].State == shared.GuardGone {
		return got[0].Err
	}
	return o.SharedTier.Unguard(ctx, key, token, value, ttl, own)
}

// loneGuard takes the place of others' guards.
type loneGuard struct{ SharedTier }

func (l loneGuard) Guard(ctx context.Context, key, token string) error {
	if r, err := l.Get(ctx, key); err == nil && r.State == shared.Guard {
		if err := errors.Join(l.Set(ctx, []Item{{Key: key, Value: memory.Null}}, 0)...); err != nil {
			return err
		}
	}
	return l.SharedTier.Guard(ctx, key, token)
}

// lastingLoss prolongs guards, and leaves alone what is lost.
type lastingLoss struct{ SharedTier }

func (l lastingLoss) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	guards = slices.Clone(guards)
	for i := range guards {
		guards[i].Restore = false
	}
	return l.SharedTier.RenewGuards(ctx, guards)
}

// shyFeed marks no guards of others.
type shyFeed struct{ SharedTier }

func (s shyFeed) Outdate(ctx context.Context, keys []shared.Outdated) error {
	if r, err := s.Get(ctx, keys[0].Key); err == nil && r.State == shared.Guard {
		return nil
	}
	return s.SharedTier.Outdate(ctx, keys)
}

// rudeFeed deletes whatever stands there.
type rudeFeed struct{ SharedTier }

func (d rudeFeed) Outdate(ctx context.Context, keys []shared.Outdated) error {
	if r, err := d.Get(ctx, keys[0].Key); err != nil || r.State != shared.Guard {
		return d.SharedTier.Outdate(ctx, keys)
	}
	if err := errors.Join(d.Set(ctx, []Item{{Key: keys[0].Key, Value: memory.Null}}, 0)...); err != nil {
		return err
	}
	return d.SharedTier.Outdate(ctx, []shared.Outdated{{Key: keys[0].Key}})
}

// blindRefresh stores over whatever has come meanwhile.
type blindRefresh struct{ SharedTier }

func (b blindRefresh) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	if stored, err := b.SharedTier.Refresh(ctx, key, token, was, expires, value, ttl); stored || err != nil {
		return stored, err
	}
	return false, errors.Join(b.Set(ctx, []Item{{Key: key, Value: value}}, 0)...)
}

// keptFill puts what it fills in memory, too, although nobody has read it
// tracked.
type keptFill struct {
	SharedTier
	cache *Cache
}

func (k keptFill) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	stored, err := k.SharedTier.Fill(ctx, key, token, value, ttl)
	a := k.cache.tier.(*prompter).of(token)
	if s := k.cache.flights; stored && a != nil {
		sh := s.shard(key)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		s.Keep(memory.NewEntry(a.play.res.Shape, key, value, 0), livingOwners(k.cache)[0], livingOwners(k.cache)[0].Epoch(), memory.Never, memory.Never)
	}
	return stored, err
}

package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"hearth/cache/protocol"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// TestTierWalks has both kinds of shared tier take the steps of traces of the model, with
// a change feed in it, and demands after each that the key holds what the model says. What
// is under way to memories is none of a tier's concern; see TestConformance.
func TestTierWalks(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c, walks := open(t), 60
		if testkit.Long() {
			walks = 2000
		}
		seed := modelSeed(t)
		seen := map[protocol.Act]int{}
		spared := 0
		for n := range uint64(walks) {
			x := walk{fixture: fixture{c, t, keyOf(t, fmt.Sprint("walk", n))}, trace: tierTrace(t, seed+n)}
			x.run()
			for i := range x.trace.Steps {
				seen[x.trace.Steps[i].Act]++
				if x.trace.Steps[i].Spared {
					spared++
				}
			}
		}
		for _, act := range []protocol.Act{protocol.RemovesGuard, protocol.Fills, protocol.Refreshes, protocol.Outdates} {
			if seen[act] == 0 {
				t.Errorf("no walk had the act %q", act)
			}
		}
		if spared == 0 {
			t.Error("no walk had an own write that the feed has spared")
		}
	})
}

// tierTrace walks the model of one instance, in which no lifetime ends.
func tierTrace(t *testing.T, seed uint64) protocol.Trace {
	casts := []string{"E0 W0 W0 F R0 X0", "E0 E0 W0 F R0 R0", "E0 W0 W0 F F R0"}
	m, err := protocol.New(protocol.Setup{Cast: casts[seed%uint64(len(casts))], Start: protocol.Filled})
	if err != nil {
		t.Fatal(err)
	}
	return m.Walk(rand.New(rand.NewPCG(seed, 0)), 80, func(at protocol.State, st *protocol.Step) int {
		return weigh(m, at, st)
	})
}

// walk is one trace that a tier takes the steps of.
type walk struct {
	fixture
	trace   protocol.Trace
	expires [protocol.MaxProcesses]int64 // of the values that refreshes have claimed
}

func (x *walk) run() {
	x.acquire("start", "")
	x.fill("start", bytesOf(0))
	before := x.trace.Start
	for i := range x.trace.Steps {
		st := &x.trace.Steps[i]
		err := x.perform(&before, st)
		if got, want := x.holds(), x.described(st.After.Redis); err == nil && got != want {
			err = fmt.Errorf("the key holds %s, want %s", got, want)
		}
		if err != nil {
			x.trace.Steps = x.trace.Steps[:i+1]
			x.t.Fatalf("%v\nin the last step of a walk of %q:\n%v", err, x.trace.Model.Cast, x.trace)
		}
		before = st.After
	}
}

// bytesOf is the record of a version.
func bytesOf(v protocol.Version) string { return fmt.Sprintf(`{"v":%d}`, v) }

func tokenOf[N int | int8 | uint8](n N) string { return fmt.Sprint("token", n) }

// described is what fixture.holds says of a content.
func (x *walk) described(c protocol.Content) string {
	switch c.State {
	case protocol.Nothing:
		return "nothing"
	case protocol.Lease:
		return shared.LeasePrefix + tokenOf(c.Tag)
	case protocol.Guard, protocol.SharedGuard:
		return "guard"
	}
	return bytesOf(c.Version)
}

// perform takes a step, and returns how its result departs from the model.
func (x *walk) perform(before *protocol.State, st *protocol.Step) error {
	n, token := int(st.Process), tokenOf(st.Process)
	f := func(what string, got, want bool) error {
		if got != want {
			return fmt.Errorf("%s: %v, in the model %v", what, got, want)
		}
		return nil
	}
	switch st.Act {
	case protocol.SetsGuard:
		x.guard(token)
	case protocol.RemovesGuard:
		var record []byte
		if v := before.Processes[n].Value; v != protocol.NoVersion {
			record = []byte(bytesOf(v))
		}
		x.must(x.tier.Unguard(within(x.t), x.key, token, record, time.Hour, true))
	case protocol.TakesLease, protocol.MeetsContent:
		want := x.described(st.Content)
		if st.Act == protocol.TakesLease {
			want = "nothing"
		}
		if got := x.acquire(token, ""); got != want {
			return fmt.Errorf("the lease meets %s, want %s", got, want)
		}
	case protocol.Fills:
		return f("it is filled", x.fill(token, bytesOf(st.Version)), !st.Refused)
	case protocol.TakesRefreshLease:
		x.expires[n] = x.claim(token, bytesOf(st.Content.Version))
		return f("the refresh has its lease", x.expires[n] != 0, true)
	case protocol.Refreshes:
		was := []byte(bytesOf(before.Processes[n].Saw.Version))
		stored, err := x.tier.Refresh(within(x.t), x.key, token, was, x.expires[n], []byte(bytesOf(st.Version)), time.Hour)
		x.must(err)
		return f("the refresh is stored", stored, !st.Refused)
	case protocol.RefreshLeaseExpires:
		x.must(x.tier.Disclaim(within(x.t), x.key, tokenOf(before.Refresher)))
	case protocol.Outdates:
		writer := ""
		if row := st.Content.Tag; x.trace.Model.Processes[row].Role == protocol.Writer {
			writer = tokenOf(row)
		}
		return f("the feed leaves the record", x.outdate(writer), st.Spared)
	}
	return nil
}

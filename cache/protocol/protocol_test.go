package protocol

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// hold is a setup that keeps all promises.
type hold struct {
	name   string
	setup  Setup
	states int // reached; another number means that the model has changed
}

var (
	expiring = Faults{Expire: true}
	crashing = Faults{Crash: true}
	breaking = Faults{Expire: true, Links: true}
	rearmed  = Rules{Join: JoinRearmed}
	deleting = Rules{Unguard: UnguardDeletes}

	unanswered = Faults{Commit: CommitUnanswered}
	forgotten  = Faults{Commit: CommitUnanswered, Expire: true}
)

var holds = []hold{
	{"expiry", Setup{Cast: "W0 W1 R0 R1", Faults: expiring}, 566604},
	{"expiry", Setup{Cast: "W0 W1 W0 R1", Faults: expiring}, 258344},
	{"expiry", Setup{Cast: "W0 K R0 R1", Faults: expiring}, 22706},
	{"expiry", Setup{Cast: "W0 D R0 R1", Faults: expiring}, 75672},
	{"crashes", Setup{Cast: "W0 W1 R0 R1", Faults: crashing}, 355669},
	{"crashes", Setup{Cast: "W0 W1 W0 R1", Faults: crashing}, 173563},
	{"deletions, expiry", Setup{Cast: "W0 D R0 R1", Rules: deleting, Faults: expiring}, 66861},
	{"deletions, crashes", Setup{Cast: "W0 W1 R1", Rules: deleting, Faults: crashing}, 6462},
	{"refreshes, expiry", Setup{Cast: "W0 W1 R1 X0", Faults: expiring, Start: Warm}, 134920},
	{"refreshes, expiry", Setup{Cast: "W0 R1 X0 X1", Faults: expiring, Start: Warm}, 19934},
	{"refreshes, expiry", Setup{Cast: "S D R0 X1", Faults: expiring, Start: Warm}, 3898},
	{"refreshes, expiry", Setup{Cast: "W0 S R1 X0", Faults: expiring, Start: Warm}, 24076},
	{"refreshes, expiry", Setup{Cast: "S S X1", Faults: expiring, Start: Warm}, 806},
	{"refreshes, crashes", Setup{Cast: "W0 W1 R1 X0", Faults: crashing, Start: Warm}, 90495},
	{"refreshes, deletions, expiry", Setup{Cast: "W0 W1 R1 X0", Rules: deleting, Faults: expiring, Start: Warm}, 91150},
	{"joins by tracking, links break", Setup{Cast: "W0 R0 R1", Rules: rearmed, Faults: breaking}, 30015},
	{"joins by tracking, links break", Setup{Cast: "W0 W1 R1", Rules: rearmed, Faults: breaking}, 14000},
	{"links break", Setup{Cast: "W0 R0 R1 R1", Faults: breaking, Start: Warm}, 318566},
	{"a guard outlives a COMMIT under way", Setup{Cast: "W0 W1 R0 R1", Faults: Faults{Commit: CommitInDoubt}}, 232330},
	{"COMMIT is not answered, expiry", Setup{Cast: "W0 R0 R1", Faults: forgotten, Start: Warm}, 41466},
	{"COMMIT is not answered, expiry", Setup{Cast: "W0 W1 R0", Faults: forgotten}, 81880},
	{"COMMIT is not answered, expiry", Setup{Cast: "W0 W0 R0", Faults: forgotten}, 77699},
	{"COMMIT is not answered, expiry", Setup{Cast: "W0 D R0", Faults: forgotten}, 7954},
	{"COMMIT is not answered, refreshes, expiry", Setup{Cast: "W0 R0 X1", Faults: forgotten, Start: Warm}, 14038},
	{"COMMIT is not answered, links break", Setup{Cast: "W0 R0 R1", Faults: Faults{Commit: CommitUnanswered, Links: true}, Start: Warm}, 8409},
}

// longHolds are explored when HEARTH_LONG is 1.
var longHolds = []hold{
	{"COMMIT is not answered", Setup{Cast: "W0 W1 R0 R1", Faults: unanswered}, 932930},
}

// TestProtocolHolds explores all states of each setup.
func TestProtocolHolds(t *testing.T) {
	all := slices.Concat(holds, plainHolds, versionHolds, failoverHolds, feedHolds)
	if os.Getenv("HEARTH_LONG") == "1" {
		all = slices.Concat(all, longHolds, longPlainHolds, longFailoverHolds, longFeedHolds)
	}
	for _, h := range all {
		t.Run(h.name+"/"+h.setup.Cast, func(t *testing.T) {
			t.Parallel()
			got := mustModel(t, h.setup).Explore()
			if got.Violation != nil {
				t.Fatalf("%v\n%v", got.Violation, got.Trace)
			}
			if got.States != h.states {
				t.Errorf("%d states were reached, want %d: the model has changed", got.States, h.states)
			}
		})
	}
}

// failure is a setup that breaks a promise, and how soon.
type failure struct {
	name   string
	breaks Invariant
	setup  Setup
	steps  int // of the shortest way there
}

var failures = []failure{
	{"the recipe: blind fill", SharedTier,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Fill: FillBlind, Unguard: UnguardOwn}}, 9},
	{"guard removed only if own", ReadYourWrites,
		Setup{Cast: "W0 W1 R0", Rules: Rules{Unguard: UnguardOwn}, Faults: expiring}, 9},
	{"guard removed always, guards not joined", Agreement,
		Setup{Cast: "W0 W1 R0", Rules: Rules{Unguard: UnguardAlways}, Faults: crashing}, 11},
	{"gap: guard lost under a living writer which dies after its commit", Agreement,
		Setup{Cast: "W0 R0", Faults: Faults{Crash: true, Expire: true}}, 9},
	{"gap: writer dies with its COMMIT under way, the guard expires first", Agreement,
		Setup{Cast: "W0 R0", Faults: Faults{Commit: CommitOutlivesGuard}}, 9},
	{"guard renewed for the time of the request only", OnTheWire,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Renew: RenewForRequest}, Faults: unanswered}, 11},
	{"a guard lost behind a COMMIT is not set anew", OnTheWire,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Renew: RenewOnly}, Faults: forgotten}, 11},
	{"reads past the tiers do not see to the guard", OnTheWire,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Renew: RenewApart}, Faults: forgotten}, 11},
	{"a guard set anew does not count as shared", SharedTier,
		Setup{Cast: "W0 W1", Rules: Rules{Renew: RenewAlone}, Faults: forgotten}, 11},
	{"acknowledged though the unguard failed", ReadYourWrites,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Confirm: ConfirmCommit}, Faults: expiring}, 9},
	{"own copy dropped before the unguard is sent", ReadYourWrites,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Drop: DropBefore}, Faults: expiring}, 12},
	{"own copy dropped at guard time only", ReadYourWrites,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Drop: DropAtGuard}, Faults: expiring}, 11},
	{"reads in flight not poisoned", ReadYourWrites,
		Setup{Cast: "W0 R0", Rules: Rules{Poison: PoisonNothing}, Start: Filled}, 5},
	{"a late reply resolves a later read", ReadYourWrites,
		Setup{Cast: "W0 R0 R0", Rules: Rules{Reply: ReplyOfNewest}, Start: Filled}, 7},
	{"memory keeps what it filled", OnTheWire,
		Setup{Cast: "W0 R1", Rules: Rules{Keep: KeepFilled}}, 10},
	{"memory keeps what SET NX GET found", OnTheWire,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Keep: KeepFound}}, 13},
	{"memory keeps 'no such key' as a missing record", ReadYourWrites,
		Setup{Cast: "R0", Rules: Rules{Keep: KeepNil}}, 2},
	{"any running load is joined", ReadYourWrites,
		Setup{Cast: "W0 R0", Rules: Rules{Join: JoinAlways}}, 8},
	{"loads joined until an own write", OnTheWire,
		Setup{Cast: "W0 R1", Rules: Rules{Join: JoinUntilWritten}}, 9},
	{"loads joined until an invalidation, lease not read tracked", OnTheWire,
		Setup{Cast: "W0 R1", Rules: Rules{Join: JoinUntilTold}, Faults: expiring}, 10},
	{"flights survive a broken link", OnTheWire,
		Setup{Cast: "W0 R0 R1", Rules: Rules{Join: JoinRearmed, Break: BreakMemory}, Faults: breaking}, 11},
	{"memory survives a broken link", OnTheWire,
		Setup{Cast: "W0 R1", Rules: Rules{Break: BreakFlights}, Faults: Faults{Links: true}, Start: Warm}, 5},
	{"loads past the same guard joined", ReadYourWrites,
		Setup{Cast: "W0 W1 W1 R1", Rules: Rules{Pass: PassSameGuard}, Faults: expiring}, 9},
	{"refresh on the word of memory, unguard leaves the sibling", SharedTier,
		Setup{Cast: "W0 W0 X1", Rules: Rules{Refresh: RefreshRemembered, Sibling: SiblingAtGuard, Unchanged: UnchangedBytes}, Start: Warm}, 10},
	{"refresh compares bytes only, foreign SETs", Agreement,
		Setup{Cast: "S S X1", Rules: Rules{Unchanged: UnchangedBytes}, Start: Warm}, 7},
}

// TestProtocolNeedsEveryRule shows what breaks without each rule, and that the
// gaps which the documentation names are there.
func TestProtocolNeedsEveryRule(t *testing.T) {
	for _, f := range slices.Concat(failures, plainFailures, versionFailures, failoverFailures, feedFailures) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			got := mustModel(t, f.setup).Explore()
			if got.Violation == nil {
				t.Fatalf("it holds in %d states, want %v broken", got.States, f.breaks)
			}
			if got.Violation.Invariant != f.breaks || len(got.Trace.Steps) != f.steps {
				t.Errorf("%v after %d steps, want %v after %d\n%v", got.Violation, len(got.Trace.Steps), f.breaks, f.steps, got.Trace)
			}
			if testing.Verbose() {
				t.Logf("%v\n%v", got.Violation, got.Trace)
			}
		})
	}
}

func mustModel(t *testing.T, s Setup) *Model {
	t.Helper()
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestProtocolWalks: a walk takes possible steps only, keeps all promises,
// is the same for the same seed, and obeys its weights.
func TestProtocolWalks(t *testing.T) {
	m := mustModel(t, Setup{Cast: "W0 W1 R0 R1 X0 D", Faults: Faults{Expire: true, Links: true}, Start: Warm})
	noBreaks := func(_ State, st *Step) int {
		if st.Act == LinkBreaks {
			return 0
		}
		return 1
	}
	for seed := range uint64(200) {
		walk := m.Walk(rand.New(rand.NewPCG(seed, 0)), 60, noBreaks)
		again := m.Walk(rand.New(rand.NewPCG(seed, 0)), 60, noBreaks)
		if walk.String() != again.String() {
			t.Fatalf("two walks with seed %d differ:\n%v\n%v", seed, walk, again)
		}
		if len(walk.Steps) < 10 {
			t.Fatalf("the walk ends after %d steps:\n%v", len(walk.Steps), walk)
		}
		for i := range walk.Steps {
			if walk.Steps[i].Act == LinkBreaks {
				t.Fatalf("a step of weight 0 was taken:\n%v", walk)
			}
			if v := m.Check(walk.Steps[i].After); v != nil {
				t.Fatalf("%v\n%v", v, walk)
			}
		}
	}
}

func TestProtocolCasts(t *testing.T) {
	f := func(cast, want string) {
		t.Helper()
		_, err := New(Setup{Cast: cast})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("cast %q: got %v, want an error with %q", cast, err, want)
		}
	}
	f("W0 Q1", "no process")
	f("W", "on no instance")
	f("R2", "on no instance")
	f("D0", "on no instance")
	f("E", "on no instance")
	f("F0", "on no instance")
	f("W0 W0 W0 W0 W0 W0 W0", "at most 6 processes")
	f("R0 R0 R0", "2 readers")
}

// TestProtocolTraces fixes how a trace is printed.
func TestProtocolTraces(t *testing.T) {
	got := mustModel(t, Setup{Cast: "R0", Rules: Rules{Keep: KeepNil}}).Explore()
	want := `    start                                            db=0 redis=nothing memories=- | -
    R0 reads tracked                                 db=0 redis=nothing memories=- <- nothing to R0 | -
    instance 0 takes the reply to R0: nothing        db=0 redis=nothing memories=nil | -
`
	if got.Trace.String() != want {
		t.Errorf("got\n%swant\n%s", got.Trace, want)
	}
}

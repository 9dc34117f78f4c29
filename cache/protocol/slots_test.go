package protocol

import "testing"

// TestSlotsMove: memory stays coherent while the slot of a key moves there and back, and
// why a Cluster's memory keeps no "no such key", and nothing that was read after ASK.
func TestSlotsMove(t *testing.T) {
	// steps of the shortest way to a violation; 0: it holds in that many states.
	f := func(name string, u SlotSetup, states, steps int) {
		t.Helper()
		u.Moves, u.Sets = 2, 3
		got := u.Explore()
		if (got.Violation != nil) != (steps > 0) || got.Steps != steps || steps == 0 && got.States != states {
			t.Errorf("%s: %d states, %v after %d steps, want %d states, %d steps\n%s", name, got.States, got.Violation, got.Steps, states, steps, got.Trace)
		}
		if testing.Verbose() {
			t.Logf("%s: %v\n%s", name, got.Violation, got.Trace)
		}
	}
	f("the design", SlotSetup{}, 2113, 0)
	f("nil is kept until the slot has left, a move excuses all", SlotSetup{Nil: NilUntilLeft, UntilLearned: true}, 1656, 0)
	f("nil is kept until the slot has left", SlotSetup{Nil: NilUntilLeft}, 0, 4)
	f("nil is kept", SlotSetup{Nil: NilKept, UntilLearned: true}, 0, 6)
	f("what was read after ASK is kept", SlotSetup{Ask: AskKept}, 0, 3)
}

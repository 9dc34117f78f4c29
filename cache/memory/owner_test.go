package memory

import "testing"

// TestStandInsDisplaceNoConnection: untracked owners are made at each fail-over, and whenever
// tracking is refused again, and nobody ends them.
func TestStandInsDisplaceNoConnection(t *testing.T) {
	t.Parallel()
	s, sh, before := newTestStore(t)
	fly(s, sh, before, "before", "1")
	for range epochRing {
		s.NewUntrackedOwner()
	}
	o := s.NewOwner(false)
	o.Prove(0)
	fly(s, sh, o, "behind", "1")
	s.NewUntrackedOwner()
	for _, key := range []string{"before", "behind"} {
		if !s.isFresh(sh, key) {
			t.Errorf("what was read %s them is not fresh any more", key)
		}
	}
	for range 2 * epochRing { // a connection that is flushed again and again
		o.Flush()
	}
	if fly(s, sh, o, "flushed", "1"); !s.isFresh(sh, "flushed") || !s.isFresh(sh, "before") {
		t.Error("a connection that is flushed displaces another one")
	}
}

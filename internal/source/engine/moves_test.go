package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// moving are Moves of a database whose primary is found or not, which count.
func moving(found bool) (m *Moves, dials, renewals *atomic.Int64) {
	m, dials, renewals = NewMoves(), new(atomic.Int64), new(atomic.Int64)
	m.Renew = func() { renewals.Add(1) }
	m.Dial = func(context.Context) error {
		dials.Add(1)
		if !found {
			return errors.New("no")
		}
		return nil
	}
	m.Strict = func() bool { return false }
	return m, dials, renewals
}

// TestSeek: those who fail together look once, and so do those who fail again and again.
func TestSeek(t *testing.T) {
	f := func(found, strict bool, renewed int64) {
		t.Helper()
		m, dials, renewals := moving(found)
		m.Strict = func() bool { return strict }
		seen := m.Number()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if got := m.Seek(t.Context(), seen); got != found && !strict {
					t.Errorf("a primary that is there %t: Seek says %t", found, got)
				}
			})
		}
		all.Wait()
		if dials.Load() != 1 || renewals.Load() != renewed || m.Number() != uint64(renewed) {
			t.Errorf("found %t, strict %t: %d dials, %d renewals, number %d; want 1 dial and %d renewals", found, strict, dials.Load(), renewals.Load(), m.Number(), renewed)
		}
	}
	f(true, false, 1)
	f(false, false, 0)
	f(false, true, 1) // connections to a server that takes no writes are of no use
	m, dials, _ := moving(true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m.turn <- struct{}{}
	if m.Seek(ended, 0) || dials.Load() != 0 {
		t.Error("a caller without time has looked")
	}
}

// TestLost: a pool is given up once for all the connections that die together.
func TestLost(t *testing.T) {
	m, _, renewals := moving(true)
	for range 20 {
		m.Lost()
	}
	if renewals.Load() != 1 || m.Number() != 1 {
		t.Errorf("%d renewals, number %d, want one", renewals.Load(), m.Number())
	}
}

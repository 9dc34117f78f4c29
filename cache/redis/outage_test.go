package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"hearth/cache/shared"
)

// TestAvailability: callers wait for an attempt that is under way, and for nothing else.
func TestAvailability(t *testing.T) {
	t.Parallel()
	var a availability
	a.init(slog.New(slog.DiscardHandler))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	now := func(what string, want error) {
		t.Helper()
		if err := a.await(gone); !errors.Is(err, want) || want != nil && !errors.Is(err, shared.ErrAway) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	// waiting are callers who come now; the function lets the attempt end, and tells what they are told.
	waiting := func(what string, want error, end func()) {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := a.await(t.Context()); !errors.Is(err, want) {
					t.Errorf("%s: got %v, want %v", what, err, want)
				}
			})
		}
		end()
		all.Wait()
	}
	broken, refused := errors.New("broken"), errors.New("refused")
	now("not connected yet, by one who does not wait", errNotYet)
	waiting("not connected yet", refused, func() { a.markAway(refused) })
	now("away", refused)
	a.interrupt(broken)
	now("away, and a connection breaks", refused)
	a.recovered()
	now("available", nil)
	a.interrupt(broken)
	a.interrupt(errors.New("another"))
	waiting("interrupted", nil, a.recovered)
	a.interrupt(broken)
	waiting("interrupted for too long", broken, a.giveUpWaiting)
	now("interrupted for too long", broken)
	a.giveUpWaiting()
	a.recovered()
	a.giveUpWaiting()
	a.recovered()
	now("available again", nil)
}

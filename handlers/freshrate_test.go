package handlers

import (
	"testing"
	"time"
)

func TestFreshRate(t *testing.T) {
	f := newFreshRate(4)
	take := func(at time.Duration, want int) {
		t.Helper()
		got := 0
		for f.allowAt(at) {
			if got++; got > 100 {
				break
			}
		}
		if got != want {
			t.Errorf("at %v: got %d loads, want %d", at, got, want)
		}
	}
	take(0, 4)
	take(249*time.Millisecond, 0)
	take(250*time.Millisecond, 1)
	take(time.Second, 3)
	take(time.Minute, 4) // a pause gives no more than a second's
	if got := f.waitAt(time.Minute + 50*time.Millisecond); got != 200*time.Millisecond {
		t.Errorf("waits %v, want 200ms", got)
	}
	f = newFreshRate(0.5)
	take(0, 1)
	take(1999*time.Millisecond, 0)
	take(2*time.Second, 1)
	f = newFreshRate(0)
	take(0, 101)
	if f.wait() != 0 {
		t.Errorf("without a bound it waits %v", f.wait())
	}
}

package handlers

import (
	"testing"
	"time"
)

func TestFailuresAreLoggedInBounds(t *testing.T) {
	var f failureLog
	at := time.Unix(1_700_000_000, 0)
	logged := 0
	for range 1000 {
		if _, ok := f.allow(at); ok {
			logged++
		}
	}
	if logged != failuresLogged {
		t.Errorf("%d lines in one second, want %d", logged, failuresLogged)
	}
	if unlogged, ok := f.allow(at.Add(time.Second)); !ok || unlogged != 1000-failuresLogged {
		t.Errorf("the next second's first line: %v, with %d left out, want %d", ok, unlogged, 1000-failuresLogged)
	}
	if unlogged, ok := f.allow(at.Add(time.Second)); !ok || unlogged != 0 {
		t.Errorf("its second line: %v, with %d left out", ok, unlogged)
	}
}

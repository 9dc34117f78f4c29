package main

import (
	"slices"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	l := newLedger(3)
	before := l.now()
	l.commit(1, 0)
	l.commit(2, 0, 1)
	after := l.now() + time.Millisecond
	if got := l.version(0); got != 2 {
		t.Errorf("version %d of a row that was changed twice", got)
	}
	if late := l.answered(0, 0, before); late != 0 {
		t.Errorf("an answer asked for before the change is late by %v", late)
	}
	if late := l.answered(0, 2, after); late != 0 {
		t.Errorf("the latest answer is late by %v", late)
	}
	if _, _, old := l.lags(0); old != 0 {
		t.Errorf("%d changes were seen old", old)
	}
	if late := l.answered(0, 0, after); late < time.Millisecond {
		t.Errorf("an answer without both changes is late by %v", late)
	}
	asked, _, old := l.lags(0)
	if asked.N != 3 || old != 2 || l.worst(0, after) != asked.Longest {
		t.Errorf("%d of %d changes were seen old, the worst by %v of %v", old, asked.N, l.worst(0, after), asked.Longest)
	}
	if got := l.changed(nil, 5); !slices.Equal(got, []int64{1, 0}) {
		t.Errorf("the latest rows: %v", got)
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSmoke runs everything for a few seconds: each fault once.
func TestSmoke(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-repo", "../..", "-reads", "5000", "-rounds", "1", "-minutes", "2", "-calm", "50ms", "-keys", "40", "-readers", "1", "-writers", "2", "-depth", "4"}
	if code := program.Status(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, stdout.String(), stderr.String())
	}
	for _, f := range faults {
		if !strings.Contains(stdout.String(), f.name) {
			t.Errorf("the report does not name the fault %q", f.name)
		}
	}
	if !strings.Contains(stdout.String(), "violations  0\n") {
		t.Errorf("the report does not count violations:\n%s", stdout.String())
	}
	t.Log(stdout.String())
}

func TestArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := program.Status(t.Context(), []string{"-nonsense"}, &stdout, &stderr); code != 2 || stderr.Len() == 0 {
		t.Errorf("exit status %d, %q, want 2 and a message", code, stderr.String())
	}
	if code := program.Status(t.Context(), []string{"-repo", t.TempDir(), "-minutes", "0.1"}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "building hearth") {
		t.Errorf("exit status %d, %q, want 1 and the reason", code, stderr.String())
	}
}

// TestCheckKnowsWhatVanishes: from Redis everything may, from the database nothing.
func TestCheckKnowsWhatVanishes(t *testing.T) {
	b := newRecords(plan{keys: 1, link: time.Second})
	f := func(resource int, version int64, want bool, change func(r *record)) {
		t.Helper()
		r := b.fresh(resource)
		r.Acknowledge(2*time.Minute, 2*time.Minute+1, 0)
		change(r)
		was := b.checker.Violations()
		b.check(r, b.checker.Ask(r.Record, 0), version, "")
		if got := b.checker.Violations().Own > was.Own; got != want {
			t.Errorf("%s, version %d: violation %v, want %v", r.Name, version, got, want)
		}
	}
	removed := func(at time.Duration) func(r *record) { return func(r *record) { r.removed.Store(int64(at)) } }
	f(free, 1, false, removed(0))
	f(free, 0, true, removed(0))
	f(free, 0, true, removed(2*time.Minute-1)) // written since
	f(free, 0, false, removed(2*time.Minute+5))
	f(free, 0, false, removed(forever))
	f(row, 0, true, removed(forever)) // the database has it
	f(row, 0, false, func(r *record) {
		b.slots[row][0].Store(r)
		b.giveUpAll()
	})
	b.wiping()
	f(free, 0, false, removed(0))
	b.wiped()
	b.wipe.ended = 2*time.Minute - 1
	f(free, 0, true, removed(0))
	b.wipe.ended = 2*time.Minute + 1
	f(free, 0, false, removed(0))
	f(row, 0, true, removed(0))
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestArguments(t *testing.T) {
	f := func(wantCode int, wantText string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := program.Status(t.Context(), args, &stdout, &stderr); code != wantCode || !strings.Contains(stderr.String(), wantText) {
			t.Errorf("%q: exit status %d, %q, want %d and %q", args, code, stderr.String(), wantCode, wantText)
		}
	}
	f(2, "-nonsense", "-nonsense")
	f(2, "missing closing", "-scenario", "(")
	f(1, "it matches none of [", "-scenario", "^none$")
	f(1, "building hearth", "-repo", t.TempDir())
}

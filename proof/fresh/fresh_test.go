package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFresh plays a short run: with versions nothing older is answered, without it is.
func TestFresh(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := program.Status(t.Context(), []string{"-reads", "2000", "-control", "1000"}, &stdout, &stderr)
	if code != 0 || stderr.Len() > 0 {
		t.Errorf("exit %d, %s\n%s", code, stderr.String(), stdout.String())
	}
	f := func(pattern string) {
		t.Helper()
		if !regexp.MustCompile(pattern).MatchString(stdout.String()) {
			t.Errorf("%s is not in\n%s", pattern, stdout.String())
		}
	}
	f(`with versions: +\d{4,} reads after \d+ writes on other instances, 0 older \(memory answered [1-9]\d+, the source 0, marked 0\)`)
	f(`without versions: \d{4,} reads after \d+ writes on other instances, [1-9]\d* older`)
}

// TestUsage: what it does not understand it does not do.
func TestUsage(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if code := program.Status(t.Context(), []string{"-nonsense"}, &stdout, &stderr); code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "-reads") {
		t.Errorf("exit %d, %q, %q", code, stdout.String(), stderr.String())
	}
}

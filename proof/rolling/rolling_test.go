package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestRolling plays a short run: it has to restart each instance both ways, and to
// lose nothing.
func TestRolling(t *testing.T) {
	var out, diagnosis bytes.Buffer
	code := run(t.Context(), []string{"-requests", "4000", "-rounds", "1", "-clients", "16", "-repo", "../.."}, &out, &diagnosis)
	if code != 0 || diagnosis.Len() > 0 {
		t.Errorf("exit %d, %s", code, diagnosis.String())
	}
	lines := regexp.MustCompile(`(?m)^restarts .*: (\d+) requests .* 3 restarts, .* 0 failed$`).FindAllString(out.String(), -1)
	if len(lines) != 2 || !strings.Contains(lines[0], "on passed sockets") || !strings.Contains(lines[1], "by draining") {
		t.Errorf("it printed\n%s", out.String())
	}
}

// TestUsage: what it does not understand it does not do.
func TestUsage(t *testing.T) {
	var out, diagnosis bytes.Buffer
	if code := run(t.Context(), []string{"-nonsense"}, &out, &diagnosis); code != 2 || out.Len() > 0 || !strings.Contains(diagnosis.String(), "-requests") {
		t.Errorf("exit %d, %q, %q", code, out.String(), diagnosis.String())
	}
}

// TestATallyNamesTheFirstFailure.
func TestATallyNamesTheFirstFailure(t *testing.T) {
	c := &crowd{}
	c.add(&tally{reads: 2, writes: 1})
	c.add(&tally{reads: 1, failed: 2, first: "no answer"})
	c.add(&tally{failed: 1, first: "later"})
	text := c.sum.String()
	if !strings.HasPrefix(text, "4 requests (1 writes)") || !strings.HasSuffix(text, "3 failed, first: no answer") {
		t.Errorf("it says %q", text)
	}
}

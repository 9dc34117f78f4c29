package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestRolling plays a short run: it has to restart each instance both ways, and to
// lose nothing.
func TestRolling(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := program.Status(t.Context(), []string{"-requests", "4000", "-rounds", "1", "-clients", "16", "-repo", "../.."}, &stdout, &stderr)
	if code != 0 || stderr.Len() > 0 {
		t.Errorf("exit %d, %s", code, stderr.String())
	}
	lines := regexp.MustCompile(`(?m)^restarts .*: (\d+) requests .* 3 restarts, .* 0 failed$`).FindAllString(stdout.String(), -1)
	if len(lines) != 2 || !strings.Contains(lines[0], "on passed sockets") || !strings.Contains(lines[1], "by draining") {
		t.Errorf("it printed\n%s", stdout.String())
	}
}

// TestUsage: what it does not understand it does not do.
func TestUsage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := program.Status(t.Context(), []string{"-nonsense"}, &stdout, &stderr); code != 2 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "-requests") {
		t.Errorf("exit %d, %q, %q", code, stdout.String(), stderr.String())
	}
}

// TestCountsNameTheFirstFailure.
func TestCountsNameTheFirstFailure(t *testing.T) {
	c := &counts{}
	for i, err := range []error{nil, nil, nil, errors.New("no answer"), nil, errors.New("later")} {
		c.note(i == 0, time.Second, err)
	}
	text := c.String()
	if !strings.HasPrefix(text, "6 requests (1 writes)") || !strings.HasSuffix(text, "2 failed, first: no answer") {
		t.Errorf("it says %q", text)
	}
}

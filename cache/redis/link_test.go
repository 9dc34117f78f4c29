package redis

import (
	"testing"
	"time"

	"hearth/cache/memory"
)

// unanswered are reads of which an earlier one has not been answered.
type unanswered struct{ Reads }

func (unanswered) Probe(string, func() error) (*memory.Owner, bool, error) { return nil, false, nil }

func TestLinkWithAnUnansweredReadIsNoProof(t *testing.T) {
	t.Parallel()
	l := &link{store: memory.New(memory.Config{}), reads: unanswered{}, key: canaryPrefix + "x", name: "test", timeout: time.Second}
	before := l.key
	if err := l.prove(t.Context(), time.Millisecond); err == nil {
		t.Error("a link whose canary is still being read passed for proved")
	}
	if l.key == before {
		t.Error("the key whose answer may never come is read again")
	}
}

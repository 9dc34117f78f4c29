package shared

import (
	"crypto/rand"
	"encoding/hex"
)

// HeldGuard is a guard to be prolonged. With Restore one that is gone is set
// anew: its writer has sent COMMIT. Without, it stays gone, and the writer must
// abort.
type HeldGuard struct {
	Key, Token string
	Restore    bool
}

// Renewal is what became of a HeldGuard.
type Renewal struct {
	State GuardState
	Err   error
}

// GuardState is what the renewal of a guard has found.
type GuardState uint8

// The states of a guard.
const (
	GuardGone GuardState = iota
	GuardStood
	// GuardRestored: it was gone. What others put there meanwhile is gone now; it
	// counts as shared, for others may have committed meanwhile, too.
	GuardRestored
)

// NewToken returns the name of a lease or guard, 96 random bits: a token is one
// attempt's alone, or a fill could be taken for another's.
func NewToken() string {
	var raw [12]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	return hex.EncodeToString(raw[:])
}

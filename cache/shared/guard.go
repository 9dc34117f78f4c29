package shared

import (
	"crypto/rand"
	"encoding/hex"
)

// HeldGuard is a guard to be prolonged. With Restore a guard that is gone is set anew: its
// writer has sent COMMIT. Without, it stays gone, and the writer has to abort.
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

// NewToken returns a lease token or guard token, the random name of one lease or guard. Of
// 96 bits no two are equal: otherwise a fill could replace the lease of another load.
func NewToken() string {
	var raw [12]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	return hex.EncodeToString(raw[:])
}

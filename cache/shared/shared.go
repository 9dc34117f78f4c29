// Package shared has the words that the rooms of the cache have in common: what
// may stand in a key of the shared tier, and why there is no answer.
//
// It is a leaf, so that a tier knows these words and nothing of the cache that
// asks it, and the cache knows no tier.
package shared

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrAway is the cause of every failure to ask a tier: it cannot be reached, or
// is known to be away.
var ErrAway = errors.New("shared tier is away")

// ErrInterrupted is an ErrAway: the connection broke while it was asked. The tier is
// reached again in a moment, or known to be away.
var ErrInterrupted = fmt.Errorf("%w: the connection broke", ErrAway)

// ErrRefused says that the shared tier is well and refuses this command or
// this key: the account lacks a right, or the key holds what the command cannot
// work on. It refuses again until an operator acts, and says nothing about
// other keys.
var ErrRefused = errors.New("the shared tier refuses the command")

// Errors of the cache as a whole. Their causes are wrapped for the log.
var (
	// ErrUnavailable says that neither a tier nor the source could answer, or that
	// a write was refused with the source untouched.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverload says that a bounded queue of waiting work is full.
	ErrOverload = errors.New("too much waiting work")
	// ErrTimeout says that the deadline has passed.
	ErrTimeout = errors.New("out of time")
)

// ErrorForEach is an error that concerns each of n.
func ErrorForEach(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Jitter spreads d by ±10 %, so that what was written together does not
// expire together.
func Jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// Package shared has the words that all shared tiers have in common: what may
// stand in a key, and why a tier gives no answer.
//
// It is a leaf, so that a tier knows these words and nothing of the cache that
// asks it, and the cache knows no tier.
package shared

import "errors"

// ErrAway is the cause of every failure to ask a tier: it cannot be reached, or
// is known to be away.
var ErrAway = errors.New("shared tier is away")

// ErrRefused says that the shared tier is well and refuses this command or
// this key: the account lacks a right, or the key holds what the command cannot
// work on. It refuses again until an operator acts, and says nothing about
// other keys.
var ErrRefused = errors.New("the shared tier refuses the command")

// ErrOverload says that a bounded queue of waiting work is full.
var ErrOverload = errors.New("too much waiting work")

// ErrorForEach is an error that concerns each of n.
func ErrorForEach(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

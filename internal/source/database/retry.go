package database

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// A call that fails on something which passes at once is made again, by what the
// engine says of the error (its remedy): a deadlock, a plan that an ALTER TABLE has
// made void, a connection that was cut while it lay idle, a server that was the primary
// a moment ago. Once for each, because what fails twice is no accident, and the
// caller's time goes on; but twice for what other transactions are the reason of, for
// there may be many of them. Never after a COMMIT whose answer was lost: it may have
// counted.

// tries are how often one call has made use of each remedy.
type tries [engine.RemedyPrimary + 1]int

// repeats is how often what other transactions stand in the way of is done again.
const repeats = 2

// take makes use of a remedy, unless it is used up. pause is how long to stay out of
// the others' way before: longer each time, and drawn, so that those who have failed
// together do not meet again.
func (t *tries) take(r engine.Remedy) (pause time.Duration, ok bool) {
	most := 1
	if r == engine.RemedyRepeat {
		most = repeats
	}
	if r == engine.RemedyNone || t[r] >= most {
		return 0, false
	}
	t[r]++
	if r == engine.RemedyRepeat {
		longest := pauseUnit << (2 * t[r])
		pause = longest/4 + rand.N(3*longest/4)
	}
	return pause, true
}

// pauseUnit makes the first pause 5 to 20 ms, and the second 20 to 80 ms.
const pauseUnit = 5 * time.Millisecond

// wait returns false if ctx ends before d is over.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tryAgain calls f without a remedy, and again with that of the error that it returns,
// as long as there is one left. What it returns is bare of marks.
func (db *DB) tryAgain(ctx context.Context, f func(engine.Remedy) error) error {
	var used tries
	err := f(engine.RemedyNone)
	for err != nil && ctx.Err() == nil {
		r := db.engine.Fault(err).Remedy
		pause, left := used.take(r)
		if !left || pause > 0 && !wait(ctx, pause) {
			break
		}
		next := f(r)
		if isNoPrimary(next) {
			break
		}
		err = preferred(ctx, err, next)
	}
	return err
}

// engineError is an error that an engine has returned, and what the engine makes
// of it. Only of these may be asked whether the same call may succeed at once.
type engineError struct {
	error
	fault engine.Fault
}

// Unwrap returns the engine's error.
func (e engineError) Unwrap() error { return e.error }

// remedyOf tells what may let the call that failed with err succeed at once. A
// context that has ended leaves no time for it. An unknown outcome has none: to
// do it again could count twice.
func remedyOf(ctx context.Context, err error) engine.Remedy {
	var e engineError
	if err == nil || ctx.Err() != nil || errors.Is(err, source.ErrUnknownOutcome) || !errors.As(err, &e) {
		return engine.RemedyNone
	}
	return e.fault.Remedy
}

// preferred is the error to report of a call and its repetition. One that ran out
// of time says less than what it repeats. An unknown outcome of the second
// attempt is reported in any case, for the caller has to act on it.
func preferred(ctx context.Context, first, second error) error {
	if second != nil && ctx.Err() != nil && !errors.Is(second, source.ErrUnknownOutcome) {
		return first
	}
	return second
}

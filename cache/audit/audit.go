// Package audit keeps count of how often what memory answered was true: checks, disagreements
// by age and cause, and how sure they make us.
//
// It compares nothing itself, so that the arithmetic can be tested without a tier. The idea is
// that of Meta's Polaris and Uber's Cache Inspector: a cache that cannot measure its own
// consistency has none to promise.
package audit

import "time"

// Against is what a copy is compared with.
type Against uint8

// What is audited.
const (
	Memory Against = iota // copies in memory, by what the shared tier holds
	Source                // copies in the shared tier, by what the source has
)

// Againsts are all of them; their names are labels in metrics.
var Againsts = [...]Against{Memory, Source}

func (a Against) String() string { return [...]string{"memory", "source"}[a] }

// Result is how a check ended.
type Result uint8

// The results. Only the first two are about the copy: the others say why nothing is known.
const (
	OK        Result = iota // the copy is what it should be
	Stale                   // it is not, and nothing that is on its way explains it
	InFlight                // it was not, and the change was on its way
	Undecided               // the other side could not be asked, or vouches for nothing now
	Volatile                // two loads of one record differ from each other
)

// Results are all of them.
var Results = [...]Result{OK, Stale, InFlight, Undecided, Volatile}

func (r Result) String() string {
	return [...]string{"ok", "stale", "in_flight", "undecided", "volatile"}[r]
}

// Of tells whether checks against a can end so: of what memory holds nothing is loaded.
func (r Result) Of(a Against) bool { return r != Volatile || a == Source }

// Cause is what is known of why a copy was stale.
type Cause uint8

// The causes. Those of copies in memory say what the shared tier held in the copy's place:
// in each case it never told of that, or nobody listened.
const (
	Changed     Cause = iota // another value
	Removed                  // nothing
	Placeholder              // a lease or a guard: the copy is about to be another one
	Untold                   // the change feed is live, watches the record, and told of no change
	Unwatched                // nobody tells of changes: the copy may be old for as long as it lives
)

// Causes are all of them.
var Causes = [...]Cause{Changed, Removed, Placeholder, Untold, Unwatched}

func (c Cause) String() string {
	return [...]string{"changed", "removed", "placeholder", "untold", "unwatched"}[c]
}

// Against is which checks find copies that are stale for this cause.
func (c Cause) Against() Against {
	if c >= Untold {
		return Source
	}
	return Memory
}

// Broken tells that a promise is broken. That nobody tells of changes is what a resource was
// configured for.
func (c Cause) Broken() bool { return c != Unwatched }

// Age is how long ago a copy was read or stored, at most: a label, of a few.
type Age uint8

// ages are the bounds of all but the last Age.
var ages = [...]time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute}

// Ages is how many there are.
const Ages = Age(len(ages) + 1)

// AgeOf is the Age of so long.
func AgeOf(d time.Duration) Age {
	for i, most := range ages {
		if d <= most {
			return Age(i)
		}
	}
	return Ages - 1
}

func (a Age) String() string { return [Ages]string{"1s", "10s", "1m", "10m", "more"}[a] }

// Verdict is how one check ended.
type Verdict struct {
	Against Against
	Result  Result
	Cause   Cause // of Stale
	Age     Age   // of Stale
	// Promised tells that the copy was promised to be what it should be, so that the check
	// says how far the promise is kept.
	Promised bool
}

package handlers

import (
	"sync/atomic"
	"time"
)

// failuresLogged is how many requests that failed are logged in a second. In an
// outage, and under overload, they are many and alike, and writing a line for
// each costs more than refusing it; metrics count them all. The next line that is
// written says how many were not.
const failuresLogged = 20

// failureLog lets so many lines pass in each second and counts the others. It takes
// no lock: who turns the second may race with those who count in it, which lets a
// line pass too many or too few, and nothing worse.
type failureLog struct {
	second, passed, unlogged atomic.Int64
}

// allow tells whether a line may be written now, and how many were not since
// the last one.
func (f *failureLog) allow(now time.Time) (unlogged int64, ok bool) {
	second := now.Unix()
	if was := f.second.Load(); was != second && f.second.CompareAndSwap(was, second) {
		f.passed.Store(0)
	}
	if f.passed.Add(1) > failuresLogged {
		f.unlogged.Add(1)
		return 0, false
	}
	return f.unlogged.Swap(0), true
}

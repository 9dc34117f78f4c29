package main

import (
	"math/bits"
	"time"
)

// steps is how many classes of times there are between one power of two and the next:
// what a quantile says is at most a sixteenth too high.
const steps = 16

// latencies is a histogram of times, in bounded room however many there are.
type latencies struct {
	counts [60 * steps]uint32
	n      int64
	worst  time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.counts[class(d)]++
	l.n++
	l.worst = max(l.worst, d)
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.n += other.n
	l.worst = max(l.worst, other.worst)
}

// quantile is the time that a part q of all stays within; 0 if there is none.
func (l *latencies) quantile(q float64) time.Duration {
	left := int64(q * float64(l.n))
	for i, n := range l.counts {
		if left -= int64(n); left < 0 {
			return min(upper(i), l.worst)
		}
	}
	return l.worst
}

// class is the histogram's class of a time: exact below 2×steps ns, then by the
// leading bits.
func class(d time.Duration) int {
	n := uint64(max(d, 0))
	shift := max(bits.Len64(n)-bits.Len(2*steps-1), 0)
	return shift*steps + int(n>>shift)
}

// upper is the longest time of a class.
func upper(class int) time.Duration {
	if class < 2*steps {
		return time.Duration(class)
	}
	shift := class/steps - 1
	return time.Duration((class-shift*steps+1)<<shift - 1)
}

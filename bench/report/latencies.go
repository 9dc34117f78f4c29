package report

import (
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// steps is how many classes of times there are between one power of two and the next:
// what a quantile says is at most a sixteenth too high.
const steps = 16

// Latencies is a histogram of times, in bounded memory however many there are. It is
// used by one goroutine at a time.
type Latencies struct {
	N       int64
	Longest time.Duration

	counts []uint32 // by class; nil before the first
}

// Add counts one time.
func (l *Latencies) Add(d time.Duration) {
	l.grow()
	l.counts[class(d)]++
	l.N++
	l.Longest = max(l.Longest, d)
}

func (l *Latencies) grow() {
	if l.counts == nil {
		l.counts = make([]uint32, 60*steps)
	}
}

// Merge adds the times of another histogram.
func (l *Latencies) Merge(other *Latencies) {
	l.grow()
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.N += other.N
	l.Longest = max(l.Longest, other.Longest)
}

// Quantile is the time that a part q of all stays within; 0 if there is none.
func (l *Latencies) Quantile(q float64) time.Duration {
	left := int64(q * float64(l.N))
	for i, n := range l.counts {
		if left -= int64(n); left < 0 {
			return min(upper(i), l.Longest)
		}
	}
	return l.Longest
}

// Within is how many times are no longer than d, as far as classes tell them apart.
func (l *Latencies) Within(d time.Duration) (n int64) {
	for i, count := range l.counts {
		if i > class(d) {
			break
		}
		n += int64(count)
	}
	return n
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

// Delays counts times by few classes with names. All of it may be used at the same time.
type Delays struct {
	bounds []time.Duration // upper ones of the classes, ascending
	counts []atomic.Int64  // one more: the last is of what is beyond all bounds
	worst  atomic.Int64
}

// NewDelays returns one with these upper bounds of its classes.
func NewDelays(bounds ...time.Duration) *Delays {
	return &Delays{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

// Add counts one time.
func (d *Delays) Add(t time.Duration) {
	at := 0
	for at < len(d.bounds) && t > d.bounds[at] {
		at++
	}
	d.counts[at].Add(1)
	for was := d.worst.Load(); int64(t) > was && !d.worst.CompareAndSwap(was, int64(t)); was = d.worst.Load() {
	}
}

// Worst is the longest time, 0 if there is none.
func (d *Delays) Worst() time.Duration { return time.Duration(d.worst.Load()) }

// Text names each class with its count, as format says, a separator between them.
func (d *Delays) Text(format, separator string) string {
	var all []string
	for i := range d.counts {
		name := "more"
		if i < len(d.bounds) {
			name = "to " + d.bounds[i].String()
		}
		all = append(all, fmt.Sprintf(format, name, d.counts[i].Load()))
	}
	return strings.Join(all, separator)
}

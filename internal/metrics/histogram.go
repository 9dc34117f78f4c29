package metrics

import (
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"
)

// The buckets of every histogram, in nanoseconds: two per power of two, 2^k
// and 1.5·2^k, from 512 ns to 2^34 ns (17.2 s). The bucket of a duration
// follows from its bit length and the bit after the leading one, without a
// search, and all bounds are exact decimals of seconds.
const (
	firstExp    = 9
	lastExp     = 34
	boundCount  = 2*(lastExp-firstExp) + 1
	bucketCount = boundCount + 1 // and one for everything longer
)

// bound is the inclusive upper limit of bucket i < boundCount in nanoseconds.
func bound(i int) uint64 {
	b := uint64(1) << (firstExp + i/2)
	return b + b/2*uint64(i%2)
}

// bucket is the index of the first bucket whose bound is not below ns.
func bucket(ns uint64) int {
	if ns <= 1<<firstExp {
		return 0
	}
	v := ns - 1 // bounds are inclusive
	n := bits.Len64(v)
	half := int(v>>(n-2)) & 1
	return min(2*(n-1-firstExp)+half+1, boundCount)
}

// Bounds lists the upper limits of a histogram's buckets, all but the last
// which has none. The caller owns the slice.
func Bounds() []time.Duration {
	all := make([]time.Duration, boundCount)
	for i := range all {
		all[i] = time.Duration(bound(i))
	}
	return all
}

// Histogram counts durations in fixed, log-spaced buckets (see Bounds) and is
// written in seconds. All methods are safe for concurrent use, allocate
// nothing and never block. Set.Histogram makes one.
type Histogram struct {
	owner *stripes
	lines []histogramLine
}

type histogramLine struct {
	sum     atomic.Uint64 // nanoseconds; overflows after 584 years of observed time
	buckets [bucketCount]atomic.Uint64
	_       [-(8 + 8*bucketCount) & (lineSize - 1)]byte
}

func newHistogram(owner *stripes) *Histogram {
	return &Histogram{owner: owner, lines: make([]histogramLine, owner.count())}
}

// Observe counts one duration. A negative one, from a clock set back, counts
// as zero.
func (h *Histogram) Observe(d time.Duration) { h.ObserveAt(h.owner.pick(), d) }

// ObserveAt is Observe for a caller that has asked Set.Stripe already.
func (h *Histogram) ObserveAt(at Stripe, d time.Duration) { h.ObserveManyAt(at, d, 1) }

// ObserveManyAt counts a duration n times.
func (h *Histogram) ObserveManyAt(at Stripe, d time.Duration, n uint64) {
	ns := uint64(max(d, 0))
	line := &h.lines[int(at)&(len(h.lines)-1)]
	line.buckets[bucket(ns)].Add(n)
	line.sum.Add(ns * n)
}

// Count is the number of observations.
func (h *Histogram) Count() uint64 {
	var sum uint64
	for _, n := range h.load() {
		sum += n
	}
	return sum
}

// Sum is the total of all observed durations.
func (h *Histogram) Sum() time.Duration {
	var sum uint64
	for i := range h.lines {
		sum += h.lines[i].sum.Load()
	}
	return time.Duration(sum)
}

// load adds up the stripes. Each number is read once, so that the cumulated
// buckets and the count derived from them agree with each other whatever is
// observed meanwhile.
func (h *Histogram) load() (all [bucketCount]uint64) {
	for i := range h.lines {
		for b := range all {
			all[b] += h.lines[i].buckets[b].Load()
		}
	}
	return all
}

func (h *Histogram) appendText(dst []byte, name, labels string) []byte {
	sum := h.Sum()
	var below uint64
	for i, n := range h.load() {
		below += n
		le := "+Inf"
		if i < boundCount {
			le = strconv.FormatFloat(seconds(bound(i)), 'g', -1, 64)
		}
		dst = appendName(dst, name, "_bucket", labels, "le", le)
		dst = append(strconv.AppendUint(dst, below, 10), '\n')
	}
	dst = appendName(dst, name, "_sum", labels, "", "")
	dst = append(appendFloat(dst, seconds(uint64(sum))), '\n')
	dst = appendName(dst, name, "_count", labels, "", "")
	return append(strconv.AppendUint(dst, below, 10), '\n')
}

// seconds is exact for the bounds: both operands are, and the quotient is the
// float64 nearest to the decimal, which prints as that decimal.
func seconds(ns uint64) float64 { return float64(ns) / 1e9 }

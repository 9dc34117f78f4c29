package timeline

import "math"

// ring keeps the rows of a span: what the kept columns were, and how latencies were spread. It
// has a fixed size. A row without a tick is NaN throughout.
type ring struct {
	step   int64 // ms between two rows
	rows   int
	newest int // index of the newest row
	filled int // rows since the beginning, at most rows
	values []float32
	bands  []uint8
}

// Latencies are kept in bands of a power of two each, two buckets of a histogram, and counts
// by their logarithm: to within seven per cent, which is more than a colour can tell.
const (
	bandCount     = 27
	bandPrecision = 10
)

var keptColumns = func() (all []int) {
	for i, c := range columns {
		if c.Kept {
			all = append(all, i)
		}
	}
	return all
}()

func newRing(rows int, step int64) *ring {
	r := &ring{step: step, rows: rows, newest: -1}
	r.values = make([]float32, rows*len(keptColumns))
	r.bands = make([]uint8, rows*bandCount)
	return r
}

// bytes is what the ring takes.
func (r *ring) bytes() int { return 4*len(r.values) + len(r.bands) }

// advance begins n new rows, of which nothing is known yet.
func (r *ring) advance(n int) {
	for range min(n, r.rows) {
		r.newest = (r.newest + 1) % r.rows
		r.filled = min(r.filled+1, r.rows)
		for i := range keptColumns {
			r.values[r.newest*len(keptColumns)+i] = float32(math.NaN())
		}
		clear(r.bands[r.newest*bandCount:][:bandCount])
	}
}

// put fills the newest row.
func (r *ring) put(values []float64, latency [][2]uint32) {
	row := r.values[r.newest*len(keptColumns):][:len(keptColumns)]
	for i := range row {
		row[i] = float32(values[i])
	}
	var sums [bandCount]uint64
	for _, b := range latency {
		sums[bandOf(int(b[0]))] += uint64(b[1])
	}
	for i, n := range sums {
		r.bands[r.newest*bandCount+i] = pack(n)
	}
}

// row returns the i-th row, the oldest first.
func (r *ring) row(i int) (values []float32, bands []uint8) {
	at := (r.newest - r.filled + 1 + i + 2*r.rows) % r.rows
	return r.values[at*len(keptColumns):][:len(keptColumns)], r.bands[at*bandCount:][:bandCount]
}

// bandOf is the band of a bucket: the bounds of buckets are 2^k and 1.5·2^k ns.
func bandOf(bucket int) int { return min((bucket+1)/2, bandCount-1) }

// pack keeps the logarithm of a count in a byte.
func pack(n uint64) uint8 {
	if n == 0 {
		return 0
	}
	return uint8(min(math.Round(bandPrecision*math.Log2(1+float64(n))), math.MaxUint8))
}

// unpack is the count that a byte stands for.
func unpack(b uint8) uint32 {
	n := math.Round(math.Exp2(float64(b)/bandPrecision) - 1)
	return uint32(min(n, math.MaxInt32))
}

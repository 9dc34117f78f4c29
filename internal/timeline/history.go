package timeline

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"hearth/internal/metrics"
)

// History is a span as its JSON has it; encodeHistory writes it. All arrays by row have the
// oldest first; rows are Step apart, and the last one is at End.
type History struct {
	Columns []Column              `json:"columns"`
	Bounds  []float64             `json:"bounds"` // of latency buckets, in seconds; the last bucket has none
	Step    int64                 `json:"step"`   // ms
	End     int64                 `json:"end"`    // Unix time in ms
	Values  map[string][]*float64 `json:"values"` // kept columns by ID; counters as rates per second; null where there was no tick
	// Latency has for each row the requests by bucket, index and count: two buckets are one
	// here, under the index of the upper one, and counts are right to within seven per cent.
	Latency [][][2]uint32 `json:"latency"`
	Events  []Event       `json:"events"` // of the last day at most
}

// History is the last "hour" or "day", encoded; ok is false for another span.
func (t *Timeline) History(span string) (history []byte, ok bool) {
	var r *ring
	var end int64
	t.mu.Lock()
	switch span {
	case "hour":
		r, end = t.hour.copy(), t.end
	case "day":
		r, end = t.day.copy(), t.dayEnd
	}
	events := slices.Clone(t.events)
	t.mu.Unlock()
	if r == nil {
		return nil, false
	}
	return encodeHistory(r, end, events), true
}

// copy is what is encoded without the lock: ticks go on meanwhile.
func (r *ring) copy() *ring {
	c := *r
	c.values, c.bands = slices.Clone(r.values), slices.Clone(r.bands)
	return &c
}

func encodeHistory(r *ring, end int64, events []Event) []byte {
	head, err := json.Marshal(struct {
		Columns []Column  `json:"columns"`
		Bounds  []float64 `json:"bounds"`
		Step    int64     `json:"step"`
		End     int64     `json:"end"`
		Events  []Event   `json:"events"`
	}{columns, bounds(), r.step, end, append([]Event{}, events...)})
	if err != nil {
		panic("BUG: a history that does not encode: " + err.Error())
	}
	out := append(make([]byte, 0, len(head)+r.filled*len(keptColumns)*8), head[:len(head)-1]...)
	out = append(out, `,"values":{`...)
	for i, c := range keptColumns {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), columns[c].ID...), `":[`...)
		for row := range r.filled {
			if row > 0 {
				out = append(out, ',')
			}
			values, _ := r.row(row)
			out = appendPoint(out, values[i])
		}
		out = append(out, ']')
	}
	out = append(out, `},"latency":[`...)
	for row := range r.filled {
		if row > 0 {
			out = append(out, ',')
		}
		_, bands := r.row(row)
		out = append(appendBands(append(out, '['), bands), ']')
	}
	return append(out, "]}"...)
}

// appendPoint appends a value with the digits that a plot can show; null for none.
func appendPoint(dst []byte, v float32) []byte {
	if math.IsNaN(float64(v)) {
		return append(dst, "null"...)
	}
	if v == float32(math.Trunc(float64(v))) && math.Abs(float64(v)) < 1<<24 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, float64(v), 'g', 6, 64)
}

func appendBands(dst []byte, bands []uint8) []byte {
	some := false
	for band, packed := range bands {
		if packed == 0 {
			continue
		}
		if some {
			dst = append(dst, ',')
		}
		some = true
		dst = appendPair(dst, [2]uint32{uint32(2 * band), unpack(packed)})
	}
	return dst
}

// bounds are those of a histogram's buckets in seconds.
func bounds() (all []float64) {
	for _, b := range metrics.Bounds() {
		all = append(all, b.Seconds())
	}
	return all
}

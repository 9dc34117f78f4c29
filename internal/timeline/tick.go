package timeline

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxTick is the largest tick in bytes, encoded. What a stream adds to it stays below 2 kB.
const MaxTick = 2000

// Tick is one second as its JSON has it; encodeTick writes it. Values that are 0, and lists
// that are empty, are left out.
type Tick struct {
	At      int64                         `json:"at"`                // Unix time in ms
	Seq     uint64                        `json:"seq"`               // of ticks, from 1
	Seconds float64                       `json:"seconds"`           // since the tick before; 0: it is the first
	Values  map[string]float64            `json:"values"`            // by Column.ID; counters as they stand, as in /metrics
	Checks  map[string]string             `json:"checks,omitempty"`  // those of /readyz that are not "ok"
	Events  []Event                       `json:"events,omitempty"`  // since the tick before
	Latency [][2]uint32                   `json:"latency,omitempty"` // requests since the tick before, by bucket of hearth_request_seconds: index and count
	Delay   [][2]uint32                   `json:"delay,omitempty"`   // likewise, of hearth_invalidation_delay_seconds
	Lag     [][2]uint32                   `json:"lag,omitempty"`     // likewise, of hearth_feed_lag_seconds
	Groups  map[string]map[string]float64 `json:"groups,omitempty"`  // metrics by a label: node_up, node_tracked, breaker, limited
	Hot     []Hot                         `json:"hot,omitempty"`     // hottest keys
	Dropped int                           `json:"dropped,omitempty"` // parts that had no room
}

// Hot is a hot key: rates are per second, over the last ten seconds or so.
type Hot struct {
	Key      string  `json:"key"` // one that is long is cut, and ends with …
	Resource string  `json:"resource"`
	Reads    float64 `json:"reads"`  // answered, whatever the tier
	Bytes    float64 `json:"bytes"`  // of records answered
	Misses   float64 `json:"misses"` // of memory
	Loads    float64 `json:"loads"`
	TTL      float64 `json:"ttl"` // what is left in memory, in seconds; negative: not in memory
}

// Bounds on texts in a tick, in bytes.
const (
	maxHotKey = 64
	maxName   = 40
	maxWords  = 120
)

// encoder appends parts of a tick as long as there is room. Each part is whole or left out.
type encoder struct {
	out     []byte
	dropped int
	kept    int // room that parts leave to those which have a right to it
}

// room is how far parts may reach, so that what closes the tick fits, too.
const room = MaxTick - len(`,"dropped":1000}`) - 2

// part appends what f appends, or nothing.
func (e *encoder) part(f func(dst []byte) []byte) bool {
	if out := f(e.out); len(out) <= room-e.kept {
		e.out = out
		return true
	}
	e.dropped++
	return false
}

// list appends a member whose value consists of parts between open and shut, or nothing if
// there is none. Parts that have no room are left out from the end.
func (e *encoder) list(name string, open, shut byte, n int, part func(dst []byte, i int) []byte) {
	if n == 0 {
		return
	}
	begin := append([]byte(`,"`+name+`":`), open)
	some := false
	for i := range n {
		if !e.part(func(dst []byte) []byte {
			if some {
				dst = append(dst, ',')
			} else {
				dst = append(dst, begin...)
			}
			return append(part(dst, i), shut)
		}) {
			e.dropped += n - i - 1
			break
		}
		e.out, some = e.out[:len(e.out)-1], true // the next one goes before the end
	}
	if some {
		e.out = append(e.out, shut)
	}
}

// The hottest keys have room whatever else there is to tell. All of them take hotRoom bytes at
// most, unless their numbers alone take more; keys are cut shorter for that.
const (
	hottestKeys = 5
	hotRoom     = 600
)

// encodeHottest encodes the hottest keys, each one by itself.
func encodeHottest(all []Hot) (parts [][]byte) {
	all = all[:min(len(all), hottestKeys)]
	for most := maxHotKey; ; most /= 2 {
		parts = parts[:0]
		size := 0
		for _, h := range all {
			parts = append(parts, h.append(nil, most))
			size += len(parts[len(parts)-1])
		}
		if size <= hotRoom || most <= 1 {
			return parts
		}
	}
}

// encodeTick encodes a tick in at most MaxTick bytes: what tells most comes first, and what
// has no room is left out and counted.
func encodeTick(t *Tick) []byte {
	hottest := encodeHottest(t.Hot)
	e := &encoder{out: make([]byte, 0, MaxTick)}
	for _, h := range hottest {
		e.kept += len(h) + 1
	}
	if len(hottest) > 0 {
		e.kept += len(`,"hot":[]`)
	}
	e.out = strconv.AppendInt(append(e.out, `{"at":`...), t.At, 10)
	e.out = strconv.AppendUint(append(e.out, `,"seq":`...), t.Seq, 10)
	e.out = appendNumber(append(e.out, `,"seconds":`...), t.Seconds)
	e.out = append(e.out, `,"values":{`...)
	some := false
	for _, c := range columns {
		v := t.Values[c.ID]
		if v == 0 {
			continue
		}
		e.part(func(dst []byte) []byte {
			if some {
				dst = append(dst, ',')
			}
			some = true
			return appendNumber(append(append(append(dst, '"'), c.ID...), `":`...), rounded(c, v))
		})
	}
	e.out = append(e.out, '}')
	checks := names(t.Checks)
	e.list("checks", '{', '}', len(checks), func(dst []byte, i int) []byte {
		return appendText(append(appendText(dst, checks[i], maxName), ':'), t.Checks[checks[i]], maxWords)
	})
	e.list("events", '[', ']', len(t.Events), func(dst []byte, i int) []byte { return t.Events[i].append(dst) })
	for _, b := range []struct {
		name string
		of   [][2]uint32
	}{{"latency", t.Latency}, {"delay", t.Delay}, {"lag", t.Lag}} {
		e.list(b.name, '[', ']', len(b.of), func(dst []byte, i int) []byte { return appendPair(dst, b.of[i]) })
	}
	e.groups(t.Groups)
	e.kept = 0
	e.list("hot", '[', ']', len(t.Hot), func(dst []byte, i int) []byte {
		if i < len(hottest) {
			return append(dst, hottest[i]...)
		}
		return t.Hot[i].append(dst, maxHotKey)
	})
	if e.dropped > 0 {
		e.out = strconv.AppendInt(append(e.out, `,"dropped":`...), int64(min(e.dropped, 1000)), 10)
	}
	return append(e.out, '}')
}

// groups appends the groups. Of each one what is wrong comes first, so that a crowd of healthy
// nodes hides none that is down.
func (e *encoder) groups(all map[string]map[string]float64) {
	var present []group
	for _, g := range groups {
		if len(all[g.id]) > 0 {
			present = append(present, g)
		}
	}
	e.list("groups", '{', '}', len(present), func(dst []byte, i int) []byte {
		g := present[i]
		inner := &encoder{out: append(appendText(dst, g.id, maxName), `:{`...)}
		some := false
		for _, name := range telling(g, all[g.id]) {
			// A group may take what leaves some to those behind it.
			if len(inner.out)-len(dst) > groupRoom {
				e.dropped++
				continue
			}
			if some {
				inner.out = append(inner.out, ',')
			}
			some = true
			inner.out = appendNumber(append(appendText(inner.out, name, maxName), ':'), all[g.id][name])
		}
		return append(inner.out, '}')
	})
}

// groupRoom is about how many bytes one group may take.
const groupRoom = 160

// append appends the key as an object: of the texts most bytes, numbers that are not 0.
func (h Hot) append(dst []byte, most int) []byte {
	dst = appendText(append(dst, `{"key":`...), h.Key, most)
	dst = appendText(append(dst, `,"resource":`...), h.Resource, min(most, maxName))
	for _, n := range []struct {
		name  string
		value float64
	}{{"reads", h.Reads}, {"bytes", h.Bytes}, {"misses", h.Misses}, {"loads", h.Loads}, {"ttl", h.TTL}} {
		if n.value == 0 {
			continue
		}
		dst = append(append(append(dst, `,"`...), n.name...), `":`...)
		dst = appendNumber(dst, math.Round(10*n.value)/10)
	}
	return append(dst, '}')
}

func appendPair(dst []byte, p [2]uint32) []byte {
	dst = strconv.AppendUint(append(dst, '['), uint64(p[0]), 10)
	return append(strconv.AppendUint(append(dst, ','), uint64(p[1]), 10), ']')
}

// appendNumber appends a number as JSON has it, which knows no infinities: they are 0.
func appendNumber(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// rounded is a value of a column with the digits that tell something; the others would take the
// room of other numbers. A counter is read for how much it grows, so it is told to a millionth
// (of a second) whatever it stands at; a gauge has six significant digits, and all of those before
// the point. A share that is nearly one is told by what it lacks of it.
func rounded(c Column, v float64) float64 {
	digits := 6
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0) || v == math.Trunc(v):
		return v
	case c.Kind == gauge && math.Abs(v) >= 1:
		digits = max(0, 5-int(math.Log10(math.Abs(v))))
	case c.Kind == gauge && v < 0.99:
		digits = 5 - int(math.Floor(math.Log10(math.Abs(v))))
	case c.Kind == gauge:
		digits = 5 - int(math.Floor(math.Log10(1-v)))
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'f', digits, 64), 64)
	if err != nil {
		panic("BUG: a number that does not read back: " + err.Error())
	}
	return short
}

// appendText appends a string of most bytes at most, and … where it was cut.
func appendText(dst []byte, s string, most int) []byte {
	if len(s) > most {
		s = s[:most]
		for range utf8.UTFMax - 1 { // of a rune that was cut
			if r, size := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && size == 1 {
				s = s[:len(s)-1]
			}
		}
		s += "…"
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string that does not encode: " + err.Error())
	}
	return append(dst, text...)
}

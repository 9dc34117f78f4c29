package top

import (
	"math"
	"slices"
	"time"

	"hearth/internal/metrics"
	"hearth/internal/timeline"
)

// model is what is known of a server by its ticks. Those that have taken a copy of it may go on
// reading that: whatever changes is made anew.
type model struct {
	last, before *timeline.Tick // before: nil while rates are not known
	arrived      time.Time      // of last, by this machine's clock

	lost    time.Time // when the link was lost; zero: it is not
	failure error     // the latest reason

	recent []*timeline.Tick // those of the window, the newest last
	events []event          // the newest last
	since  map[string]int64 // Unix time in ms since when each trouble is there, by its text
	hot    []timeline.Hot   // in whatever order they have come
}

type event = timeline.Event

const (
	// window is over how many ticks distributions are summed up: of one second there is often
	// little to be said.
	window = 10
	// mostEvents is how many events are kept.
	mostEvents = 200
)

// take takes a tick that has arrived now, and hot keys if there is a longer list of them than
// the tick's own.
func (m *model) take(t *timeline.Tick, hot []timeline.Hot, now time.Time) {
	if m.last != nil && t.Seq == m.last.Seq && m.sameProcess(t) { // a new link begins with the newest one
		m.arrived, m.lost, m.failure = now, time.Time{}, nil
		return
	}
	switch {
	case m.last == nil, t.Seq < m.last.Seq, !m.sameProcess(t):
		m.before, m.recent = nil, nil
	default:
		m.before = m.last
	}
	m.last, m.arrived, m.lost, m.failure = t, now, time.Time{}, nil
	m.recent = append(m.recent[max(0, len(m.recent)-window+1):len(m.recent):len(m.recent)], t)
	m.hot = t.Hot
	if hot != nil {
		m.hot = hot
	}
	m.remember(t.Events)
	since := map[string]int64{}
	for _, one := range m.troubles() {
		at, known := m.since[one.text]
		if !known {
			at = m.begun(one.kind)
		}
		since[one.text] = at
	}
	m.since = since
}

// sameProcess tells whether a tick is of the process that the last one was of. When it was
// started is told in every tick that has room for it.
func (m *model) sameProcess(t *timeline.Tick) bool {
	was, is := m.last.Values["started"], t.Values["started"]
	return was == is || was == 0 || is == 0
}

// remember takes events that are not known yet.
func (m *model) remember(events []event) {
	all := slices.Clone(m.events)
	for _, e := range events {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b timeline.Event) int { return int(a.At - b.At) })
	m.events = all[max(0, len(all)-mostEvents):]
}

// begun is since when there is trouble of a kind that is new here: since its event, if that is
// known and no other has ended it.
func (m *model) begun(kind string) int64 {
	for _, e := range slices.Backward(m.events) {
		if e.Kind == kind {
			if !e.Good {
				return e.At
			}
			break
		}
	}
	return m.last.At
}

// lose notes that the link is lost, or that it could not be got back.
func (m *model) lose(err error, now time.Time) {
	if m.lost.IsZero() {
		m.lost = now
	}
	m.failure = err
}

// value is what a column stands at: NaN if there is no tick yet.
func (m *model) value(id string) float64 {
	if m.last == nil {
		return math.NaN()
	}
	return m.last.Values[id] // what is 0 is left out
}

// seconds is how much time lies between the ticks that rates are made of; 0: there are none.
func (m *model) seconds() float64 {
	switch {
	case m.before == nil:
		return 0
	case m.last.Seq == m.before.Seq+1:
		return m.last.Seconds
	}
	return max(0, float64(m.last.At-m.before.At)/1000) // some were missed
}

// rate is how much a counter grows per second: NaN while that is not known. One that goes back
// has lost what it counted before.
func (m *model) rate(id string) float64 {
	seconds := m.seconds()
	if seconds <= 0 {
		return math.NaN()
	}
	is, was := m.last.Values[id], m.before.Values[id]
	if is == 0 && m.last.Dropped > 0 || was == 0 && m.before.Dropped > 0 {
		return math.NaN() // perhaps it had no room
	}
	return max(0, is-was) / seconds
}

// rates is the sum of some.
func (m *model) rates(ids ...string) (sum float64) {
	for _, id := range ids {
		sum += m.rate(id)
	}
	return sum
}

// limitRate is how many requests a limit refuses per second.
func (m *model) limitRate(name string) float64 {
	seconds := m.seconds()
	if seconds <= 0 {
		return math.NaN()
	}
	was, known := m.before.Groups["limited"][name]
	if !known {
		return math.NaN()
	}
	return max(0, m.last.Groups["limited"][name]-was) / seconds
}

// distribution are the counts of a histogram's buckets.
type distribution [][2]uint32

// of sums up a distribution over the window.
func (m *model) of(part func(*timeline.Tick) [][2]uint32) (all distribution) {
	for _, t := range m.recent {
		all = append(all, part(t)...)
	}
	slices.SortFunc(all, func(a, b [2]uint32) int { return int(a[0]) - int(b[0]) })
	return all
}

func latency(t *timeline.Tick) [][2]uint32 { return t.Latency }
func delay(t *timeline.Tick) [][2]uint32   { return t.Delay }
func lag(t *timeline.Tick) [][2]uint32     { return t.Lag }

// quantile is the upper bound of the bucket in which it lies, in seconds: NaN of nothing.
func (d distribution) quantile(q float64) float64 {
	sum, n := 0.0, 0.0
	for _, b := range d {
		sum += float64(b[1])
	}
	if sum == 0 {
		return math.NaN()
	}
	bounds := metrics.Bounds()
	for _, b := range d {
		if n += float64(b[1]); n >= q*sum && int(b[0]) < len(bounds) {
			return bounds[b[0]].Seconds()
		}
	}
	return math.Inf(1)
}

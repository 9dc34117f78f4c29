// Package timeline remembers what the numbers of the server were: the last hour by the
// second, the last day by ten seconds, and what happened meanwhile.
//
// It counts nothing itself. Each second it reads what /metrics would show at that moment,
// once for everybody who watches, so every figure that a dashboard or a terminal shows is
// one that a scrape of the same second has.
package timeline

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/metrics"
)

// Config is what a Timeline reads. All of it must be safe for concurrent use and quick.
type Config struct {
	// Read returns what /metrics would show now.
	Read func() (metrics.Snapshot, error)
	// Hot returns the hottest keys, the hottest first; nil: there is no such list.
	Hot func() []Hot
	// Checks are those of /readyz, with what is wrong or "ok"; nil: none.
	Checks func() map[string]string
	Log    *slog.Logger
}

// Timeline reads the numbers each second while Run runs. All methods are safe for concurrent use.
type Timeline struct {
	config  Config
	latest  atomic.Pointer[[]byte]
	missed  atomic.Int64 // ticks that followers did not take in time
	refused atomic.Int64 // followers beyond their number

	mu        sync.Mutex // guards what is below
	hour, day *ring
	end       int64 // Unix time in ms of the newest row of the hour
	dayEnd    int64 // likewise, of the day
	ahead     int64 // ms that ticks are ahead of the rows they have
	events    []Event
	noted     []Event // for the next tick
	followers map[chan []byte]struct{}
	closed    bool

	// Of the goroutine that reads.
	before  *numbers
	at      time.Time // of before
	seq     uint64
	ten     sums // what the newest row of the day is made of
	failing bool // reading has failed the last time
}

// sums gather ticks for one row of the day.
type sums struct {
	ticks   int
	seconds float64
	grown   []float64 // counters, by column
	latency [][2]uint32
}

const (
	hourStep, hourRows = int64(1000), 3600
	dayStep, dayRows   = int64(10_000), 8640
	perDayRow          = int(dayStep / hourStep)

	// MaxFollowers is how many may follow at a time.
	MaxFollowers = 32
	// waiting is how many ticks wait for a follower that does not take them.
	waiting = 4
)

// New returns a Timeline that knows nothing yet.
func New(c Config) *Timeline {
	return &Timeline{
		config: c, hour: newRing(hourRows, hourStep), day: newRing(dayRows, dayStep), followers: map[chan []byte]struct{}{},
	}
}

// Run takes a tick each second, the first one at once, until ctx ends. Then it ends all that follow.
func (t *Timeline) Run(ctx context.Context) {
	defer t.close()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		t.take(time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// take takes one tick. A number that cannot be read is no reason to end the server: this
// tick is left out, and the plots have a gap.
func (t *Timeline) take(now time.Time) {
	defer func() {
		if fault := recover(); fault != nil {
			t.config.Log.Error("a tick of the timeline panicked", "panic", fault, "stack", string(debug.Stack()))
		}
	}()
	s, err := t.config.Read()
	if err != nil {
		if !t.failing {
			t.config.Log.Error("reading numbers for the timeline", "error", err)
		}
		t.failing = true
		return
	}
	t.failing = false
	t.publish(now, read(s))
}

// publish makes a tick of the numbers, remembers it, and sends it to all that follow.
func (t *Timeline) publish(now time.Time, n *numbers) {
	t.seq++
	tick := &Tick{At: now.UnixMilli(), Seq: t.seq, Values: map[string]float64{}, Groups: map[string]map[string]float64{}}
	for i, c := range columns {
		tick.Values[c.ID] = n.values[i]
	}
	for i, g := range groups {
		tick.Groups[g.id] = n.groups[i]
	}
	if t.before == nil {
		tick.Events = []Event{{At: tick.At, Kind: "start", Good: true, Text: "the server was started"}}
	} else {
		tick.Seconds = now.Sub(t.at).Seconds() // by the clock that is never set
		tick.Events = append(changes(tick.At, t.before, n), t.takeNoted()...)
		tick.Latency, tick.Delay, tick.Lag = grown(t.before.latency, n.latency), grown(t.before.delay, n.delay), grown(t.before.lag, n.lag)
	}
	if t.config.Hot != nil {
		tick.Hot = t.config.Hot()
	}
	if t.config.Checks != nil {
		tick.Checks = map[string]string{}
		for name, text := range t.config.Checks() {
			if text != "ok" {
				tick.Checks[name] = text
			}
		}
	}
	encoded := encodeTick(tick)
	t.remember(tick, n)
	t.before, t.at = n, now
	t.latest.Store(&encoded)
	t.send(encoded)
}

// mostNoted is how many events one tick takes from others.
const mostNoted = 8

// Note has the next tick tell of an event that no number shows. What comes after mostNoted of
// them is left out.
func (t *Timeline) Note(kind string, good bool, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.noted) < mostNoted {
		t.noted = append(t.noted, Event{At: time.Now().UnixMilli(), Kind: kind, Good: good, Text: text})
	}
}

func (t *Timeline) takeNoted() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	noted := t.noted
	t.noted = nil
	return noted
}

// remember writes the tick into the rings.
func (t *Timeline) remember(tick *Tick, n *numbers) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, tick.Events...)
	if over := len(t.events) - maxEvents; over > 0 {
		t.events = append(t.events[:0:0], t.events[over:]...)
	}
	if tick.Seconds <= 0 {
		t.hour.advance(1)
		t.day.advance(1)
		t.end, t.dayEnd = tick.At, tick.At
		return
	}
	rows := t.rowsUntil(tick.At)
	t.hour.advance(rows)
	t.end = tick.At
	t.hour.put(t.rates(n, tick.Seconds), tick.Latency)
	t.gather(n, tick, rows)
}

// early is how much of a second may be lacking for a tick to count as one.
const early = hourStep / 10

// rowsUntil is how many rows the hour goes on by with a tick, by the time that people read: while
// the machine was suspended rows are missing. A clock that was set back moves nothing.
//
// What is not a whole second is carried on: a tick that is late is followed by one that is early,
// so if each were rounded by itself, two seconds would take three rows, and what is older would
// be shown a second too old for each late tick behind it.
func (t *Timeline) rowsUntil(at int64) int {
	t.ahead += at - t.end
	if at < t.end {
		t.ahead = hourStep
	}
	rows := max(1, (t.ahead+early)/hourStep)
	t.ahead = max(t.ahead-rows*hourStep, -hourStep)
	return int(rows)
}

// rates are the kept columns of a row: how much counters have grown per second, and gauges.
func (t *Timeline) rates(n *numbers, seconds float64) []float64 {
	out := make([]float64, len(keptColumns))
	for i, c := range keptColumns {
		out[i] = n.values[c]
		if columns[c].Kind == counter {
			out[i] = (n.values[c] - t.before.values[c]) / seconds
		}
	}
	return out
}

// gather adds a tick to the newest row of the day: counters are averaged over it, gauges are
// what they were last.
func (t *Timeline) gather(n *numbers, tick *Tick, rows int) {
	ten := &t.ten
	if ten.grown == nil {
		ten.grown = make([]float64, len(columns))
	}
	ten.ticks, ten.seconds = ten.ticks+rows, ten.seconds+tick.Seconds
	for i := range columns {
		ten.grown[i] += n.values[i] - t.before.values[i]
	}
	ten.latency = append(ten.latency, tick.Latency...)
	if ten.ticks < perDayRow {
		return
	}
	t.day.advance(ten.ticks / perDayRow)
	over := ten.ticks % perDayRow // behind a gap: they belong to the next row
	t.dayEnd = tick.At - int64(over)*hourStep
	out := make([]float64, len(keptColumns))
	for i, c := range keptColumns {
		out[i] = n.values[c]
		if columns[c].Kind == counter {
			out[i] = ten.grown[c] / ten.seconds
		}
	}
	t.day.put(out, ten.latency)
	*ten = sums{ticks: over}
}

// Latest is the newest tick, encoded; nil before the first one. The caller must not change it.
func (t *Timeline) Latest() []byte {
	if latest := t.latest.Load(); latest != nil {
		return *latest
	}
	return nil
}

// Missed is how many ticks were not taken in time by those who follow, Refused how many were
// not let follow.
func (t *Timeline) Missed() int64 { return t.missed.Load() }

// Refused is explained with Missed.
func (t *Timeline) Refused() int64 { return t.refused.Load() }

// Followers is how many follow now.
func (t *Timeline) Followers() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.followers)
}

// Follow sends the newest tick and each later one, encoded, until stop is called, or the
// server ends: then ticks is closed. Who does not keep up misses ticks. ok is false when as
// many follow as may.
func (t *Timeline) Follow() (ticks <-chan []byte, stop func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.followers) >= MaxFollowers {
		t.refused.Add(1)
		return nil, nil, false
	}
	c := make(chan []byte, waiting)
	if latest := t.Latest(); latest != nil {
		c <- latest
	}
	t.followers[c] = struct{}{}
	return c, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, follows := t.followers[c]; follows {
			delete(t.followers, c)
			close(c)
		}
	}, true
}

// send sends a tick to all that follow. It waits for nobody.
func (t *Timeline) send(tick []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.followers {
		select {
		case c <- tick:
		default:
			t.missed.Add(1)
		}
	}
}

// close ends all that follow.
func (t *Timeline) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.followers {
		delete(t.followers, c)
		close(c)
	}
}

package timeline

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hearth/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a Timeline whose ticks a test takes by hand, a second apart by itself.
type clock struct {
	*Timeline
	t   *testing.T
	set *metrics.Set
	now time.Time
	hot []Hot
}

func newClock(t *testing.T) *clock {
	c := &clock{t: t, set: metrics.New("test"), now: time.Now().Truncate(time.Second)}
	c.Timeline = New(Config{
		Read: c.set.Snapshot, Hot: func() []Hot { return c.hot },
		Checks: func() map[string]string { return map[string]string{"redis": "ok", "source": "away"} }, Log: slog.New(slog.DiscardHandler),
	})
	return c
}

// tick takes a tick after a while.
func (c *clock) tick(after time.Duration) (got Tick) {
	c.t.Helper()
	c.now = c.now.Add(after)
	c.take(c.now)
	if err := json.Unmarshal(c.Latest(), &got); err != nil {
		c.t.Fatalf("%v: %s", err, c.Latest())
	}
	return got
}

func (c *clock) history(span string) (got History) {
	c.t.Helper()
	text, ok := c.History(span)
	if !ok {
		c.t.Fatalf("there is no span %q", span)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		c.t.Fatalf("%v: %.300s", err, text)
	}
	return got
}

// points are the values of a column; NaN where there was no tick.
func (h History) points(id string) (all []float64) {
	for _, v := range h.Values[id] {
		if v == nil {
			all = append(all, math.NaN())
		} else {
			all = append(all, *v)
		}
	}
	return all
}

func requests(set *metrics.Set, tier, code string) *metrics.Counter {
	return set.Counter("hearth_requests_total", "x", metrics.Label{Name: "resource", Value: `a "b\`}, metrics.Label{Name: "tier", Value: tier}, metrics.Label{Name: "code", Value: code})
}

// TestATickIsWhatMetricsShow: counters as they stand, by labels, and what has grown.
func TestATickIsWhatMetricsShow(t *testing.T) {
	c := newClock(t)
	hits, other := requests(c.set, "memory", "200"), requests(c.set, "memory", "304")
	failed := requests(c.set, "none", "503")
	h := c.set.Histogram("hearth_request_seconds", "x", metrics.Label{Name: "tier", Value: "memory"})
	hits.Add(10)
	h.Observe(time.Microsecond)
	first := c.tick(0)
	if first.Seq != 1 || first.Seconds != 0 || first.Latency != nil || len(first.Events) != 1 || first.Events[0].Kind != "start" {
		t.Errorf("the first tick is %+v", first)
	}
	hits.Add(5)
	other.Add(2)
	failed.Add(1)
	for range 3 {
		h.Observe(700 * time.Nanosecond)
	}
	h.Observe(time.Hour)
	got := c.tick(time.Second)
	for id, want := range map[string]float64{"requests_memory": 17, "requests_none": 1, "answers_304": 2, "answers_5xx": 1, "answers_503": 1, "answers_4xx": 0} {
		if got.Values[id] != want {
			t.Errorf("%s is %v, want %v", id, got.Values[id], want)
		}
	}
	if diff := cmp.Diff([][2]uint32{{1, 3}, {51, 1}}, got.Latency); diff != "" {
		t.Errorf("latency (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"source": "away"}, got.Checks); diff != "" {
		t.Errorf("checks (-want +got)\n%s", diff)
	}
	if got.Seconds != 1 || got.Seq != 2 || got.At != first.At+1000 {
		t.Errorf("at %d, seq %d, %v s", got.At, got.Seq, got.Seconds)
	}
}

// TestColumnsEqualThePage: each column is the sum of what the page of /metrics has.
func TestColumnsEqualThePage(t *testing.T) {
	c := newClock(t)
	for i, col := range Columns() {
		name, labels := col.Metric, []metrics.Label{}
		for k, v := range col.Labels {
			labels = append(labels, metrics.Label{Name: k, Value: strings.Replace(v, "*", "01", 1)})
		}
		switch base, isSum := strings.CutSuffix(name, "_sum"); {
		case strings.HasPrefix(name, "process_"), strings.HasPrefix(name, "go_"), strings.HasSuffix(name, "_count"):
		case isSum:
			c.set.Histogram(base, "x").Observe(time.Duration(i+1) * time.Millisecond)
		case name == "hearth_requests_total":
			labels = append(labels, metrics.Label{Name: "series", Value: col.ID})
			c.set.Counter(name, "x", labels...).Add(uint64(i + 1))
		case col.Kind == counter:
			c.set.Counter(name, "x", labels...).Add(uint64(i + 1))
		default:
			c.set.GaugeFunc(name, "x", func() float64 { return float64(i) + 0.5 }, labels...)
		}
	}
	snapshot, err := c.set.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	n := read(snapshot)
	var page strings.Builder
	if err := c.set.WritePrometheus(&page); err != nil {
		t.Fatal(err)
	}
	for i, col := range Columns() {
		if strings.HasPrefix(col.Metric, "process_") || strings.HasPrefix(col.Metric, "go_") {
			if n.values[i] <= 0 && col.ID != "cpu_seconds" { // which may have used no tick of the kernel yet
				t.Errorf("%s is %v", col.ID, n.values[i])
			}
			continue
		}
		if want := sumOf(t, page.String(), col); n.values[i] != want || want == 0 {
			t.Errorf("%s is %v, the page has %v", col.ID, n.values[i], want)
		}
	}
}

// sumOf adds up the lines of a column on the page.
func sumOf(t *testing.T, page string, c Column) (sum float64) {
	t.Helper()
	for line := range strings.Lines(page) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, labels, _ := strings.Cut(series, "{")
		if name != c.Metric {
			continue
		}
		has := true
		for k, v := range c.Labels {
			prefix, open := strings.CutSuffix(v, "*")
			if !open {
				prefix += `"`
			}
			has = has && strings.Contains(labels, k+`="`+prefix)
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if has {
			sum += v
		}
	}
	return sum
}

// TestRatesAndGaps: counters are rates, a process that stood still leaves a gap, and a clock
// that is set back moves nothing.
func TestRatesAndGaps(t *testing.T) {
	c := newClock(t)
	hits := requests(c.set, "memory", "200")
	c.tick(0)
	for range 3 {
		hits.Add(100)
		c.tick(time.Second)
	}
	hits.Add(600)
	c.tick(3 * time.Second)
	h := c.history("hour")
	want := []float64{math.NaN(), 100, 100, 100, math.NaN(), math.NaN(), 200}
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(h.points("requests_memory"))); diff != "" {
		t.Errorf("rates (-want +got)\n%s", diff)
	}
	if h.Step != 1000 || h.End != c.now.UnixMilli() || len(h.Latency) != len(want) {
		t.Errorf("step %d, end %d, %d rows of latency", h.Step, h.End, len(h.Latency))
	}
	hits.Add(100)
	c.now = c.now.Add(time.Second)
	c.take(c.now.Round(0).Add(-time.Hour)) // by the wall alone; the time between is nonsense then
	if got := len(c.history("hour").Latency); got != len(want)+1 {
		t.Errorf("%d rows behind a clock that was set back, want one more", got)
	}
	c.now = c.now.Add(24 * time.Hour)
	c.tick(0)
	if got := c.history("hour"); len(got.Latency) != hourRows {
		t.Errorf("%d rows after a day, want %d", len(got.Latency), hourRows)
	}
}

// TestADayIsAverages of ten seconds each.
func TestADayIsAverages(t *testing.T) {
	c := newClock(t)
	hits := requests(c.set, "memory", "200")
	c.tick(0)
	for i := range 25 {
		hits.Add(uint64(i % 10 * 10))
		c.tick(time.Second)
	}
	day := c.history("day")
	if got := fmt.Sprint(day.points("requests_memory")); got != "[NaN 45 45]" {
		t.Errorf("the day is %s", got)
	}
	if want := c.now.Add(-5 * time.Second).UnixMilli(); day.End != want {
		t.Errorf("the day ends at %d, want %d: its newest row is of the twentieth second", day.End, want)
	}
}

// TestLateTicksTakeNoRows of their own: a busy machine delays a tick, and the next one comes in
// time. So two seconds are two rows, and what is older stays where it was.
func TestLateTicksTakeNoRows(t *testing.T) {
	c := newClock(t)
	c.tick(0)
	const pairs = 60
	for range pairs {
		c.tick(1700 * time.Millisecond)
		c.tick(300 * time.Millisecond)
	}
	if got := len(c.history("hour").Latency); got < 2*pairs || got > 2*pairs+2 {
		t.Errorf("%d rows for %d seconds", got, 2*pairs+1)
	}
	if got := len(c.history("day").Latency); got != 2*pairs/10+1 {
		t.Errorf("%d rows of the day for %d seconds", got, 2*pairs+1)
	}
	c.tick(4 * time.Second) // a real gap is one all the same
	if got := len(c.history("hour").Latency); got < 2*pairs+4 {
		t.Errorf("%d rows behind a gap of four seconds", got)
	}
}

// TestRingsAreBounded: an hour and a day take what is said of them, and go on for ever.
func TestRingsAreBounded(t *testing.T) {
	c := newClock(t)
	c.tick(0)
	n := *c.before
	for range hourRows + 7 {
		n.values = slices.Clone(n.values)
		n.values[indexOf("requests_memory")]++
		c.now = c.now.Add(time.Second)
		next := n
		c.publish(c.now, &next)
	}
	h := c.history("hour")
	if got := h.points("requests_memory"); len(got) != hourRows || got[0] != 1 || got[hourRows-1] != 1 {
		t.Errorf("%d points from %v to %v", len(got), got[0], got[len(got)-1])
	}
	if got := c.hour.bytes() + c.day.bytes(); got > 1_400_000 {
		t.Errorf("the rings take %d bytes", got)
	}
	if len(h.Events) > maxEvents {
		t.Errorf("%d events", len(h.Events))
	}
}

// TestCountsOfBands: what a band keeps is right to within seven per cent.
func TestCountsOfBands(t *testing.T) {
	for n := uint64(0); n < 30_000_000; n = n*5/4 + 1 {
		if got := float64(unpack(pack(n))); math.Abs(got-float64(n)) > max(0.5, 0.07*float64(n)) {
			t.Errorf("%d is kept as %v", n, got)
		}
	}
	for i := range 52 {
		if b := bandOf(i); 2*b != i && 2*b-1 != i {
			t.Errorf("bucket %d is in band %d", i, b)
		}
	}
}

// TestATickHasABound whatever the configuration, the keys and the trouble.
func TestATickHasABound(t *testing.T) {
	hostile := strings.Repeat("\x00<\"\u2028张", 1000)
	tick := &Tick{At: math.MaxInt64, Seq: math.MaxUint64, Seconds: math.Pi, Values: map[string]float64{}, Groups: map[string]map[string]float64{}, Checks: map[string]string{}}
	for _, c := range columns {
		tick.Values[c.ID] = 1234567890.123456
	}
	for _, g := range groups {
		tick.Groups[g.id] = map[string]float64{}
		for i := range 100 {
			tick.Groups[g.id][fmt.Sprint(hostile, i)] = 1
		}
	}
	for i := range 52 {
		tick.Latency, tick.Delay, tick.Lag = append(tick.Latency, [2]uint32{uint32(i), math.MaxUint32}), append(tick.Delay, [2]uint32{uint32(i), 1}), append(tick.Lag, [2]uint32{uint32(i), 1})
		tick.Events = append(tick.Events, Event{At: 1, Kind: "link", Text: hostile})
		tick.Hot = append(tick.Hot, Hot{Key: hostile, Resource: hostile, Reads: math.Inf(1), TTL: math.NaN()})
		tick.Checks[fmt.Sprint(hostile, i)] = hostile
	}
	for _, with := range []func(){func() {}, func() { tick.Checks, tick.Events = nil, nil }, func() { clear(tick.Values); tick.Values["ready"] = 1 }, func() { tick.Latency, tick.Delay, tick.Lag = nil, nil, nil }} {
		with()
		text := encodeTick(tick)
		var got Tick
		if err := json.Unmarshal(text, &got); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		if len(text) > MaxTick || got.Dropped == 0 || len(got.Values) == 0 {
			t.Errorf("%d bytes with %d values, %d parts left out: %s", len(text), len(got.Values), got.Dropped, text)
		}
	}
	tick.Groups = map[string]map[string]float64{"node_up": {}}
	for i := range 100 {
		tick.Groups["node_up"][fmt.Sprintf("10.0.0.%d:6379", i)] = 1
	}
	tick.Groups["node_up"]["10.0.0.77:6379"] = 0
	var got Tick
	if err := json.Unmarshal(encodeTick(tick), &got); err != nil {
		t.Fatal(err)
	}
	if up, there := got.Groups["node_up"]["10.0.0.77:6379"]; !there || up != 0 {
		t.Errorf("the one node that is down is not among %v", got.Groups["node_up"])
	}
	if len(got.Hot) == 0 {
		t.Error("a crowd of nodes leaves no room for hot keys")
	}
}

// TestEvents: what has changed between two ticks is told, once.
func TestEvents(t *testing.T) {
	c := newClock(t)
	up, open := 1.0, 0.0
	c.set.GaugeFunc("hearth_redis_up", "x", func() float64 { return up })
	c.set.GaugesFunc("hearth_redis_node_up", "x", "node", func() map[string]float64 { return map[string]float64{"a:1": up} })
	c.set.GaugeFunc("hearth_breaker_open", "x", func() float64 { return open }, metrics.Label{Name: "source", Value: "database"})
	c.tick(0)
	texts := func() (all []string) {
		for _, e := range c.tick(time.Second).Events {
			all = append(all, fmt.Sprint(e.Kind, " ", e.Good, " ", e.Text))
		}
		return all
	}
	want := func(what string, events ...string) {
		t.Helper()
		if diff := cmp.Diff(events, texts()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	want("nothing")
	up = 0
	want("an outage", "link false the shared tier cannot be asked", "link false a:1 cannot be asked")
	want("it goes on")
	up, open = 1, 1
	for range 2 * mostNoted {
		c.Note("audit", false, "x")
	}
	c.noted = c.noted[:1]
	want("all together", "link true the shared tier answers again", "link true a:1 can be asked again",
		"breaker false database is spared: its breaker is open", "audit false x")
}

// TestFollowers: their number is bounded, and a slow one waits for nobody's sake.
func TestFollowers(t *testing.T) {
	c := newClock(t)
	c.tick(0)
	var stops []func()
	var all []<-chan []byte
	for range MaxFollowers {
		ticks, stop, ok := c.Follow()
		if !ok {
			t.Fatal("refused too early")
		}
		all, stops = append(all, ticks), append(stops, stop)
	}
	if _, _, ok := c.Follow(); ok || c.Refused() != 1 {
		t.Errorf("one more may follow: %v; %d were refused", ok, c.Refused())
	}
	for range 2 * waiting {
		c.tick(time.Second)
	}
	if c.Missed() == 0 {
		t.Error("who takes nothing misses nothing")
	}
	stops[0]()
	stops[0]()
	if _, _, ok := c.Follow(); !ok {
		t.Error("a place that was left stays taken")
	}
	c.close()
	n := 0
	for range all[1] {
		n++
	}
	if n == 0 || n > waiting {
		t.Errorf("%d ticks were kept", n)
	}
	for _, stop := range stops {
		stop()
	}
	if _, _, ok := c.Follow(); ok {
		t.Error("somebody follows a timeline that has ended")
	}
}

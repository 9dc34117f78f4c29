package top

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"hearth/internal/timeline"
)

// TestRates: of two ticks of one process; ticks that were missed lie between, too.
func TestRates(t *testing.T) {
	var m model
	take := func(tick *timeline.Tick) { t.Helper(); m.take(tick, nil, begin) }
	is := func(id string, want float64) {
		t.Helper()
		if got := m.rate(id); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("the rate of %s is %v, want %v", id, got, want)
		}
	}
	is("loads", math.NaN())
	take(tickAt(10))
	is("loads", math.NaN())
	take(tickAt(11))
	is("loads", 3)
	is("requests_memory", 12_100)
	is("evictions", 0)
	take(tickAt(16))
	is("loads", 3)
	take(tickAt(16)) // a new link begins with it
	is("loads", 3)

	// The server was started again, and its counters begin anew.
	again := tickAt(0)
	again.At, again.Values["started"] = tickAt(20).At, again.Values["started"]+20_000
	take(again)
	is("loads", math.NaN())
	second := tickAt(1)
	second.At, second.Values["started"] = tickAt(21).At, again.Values["started"]
	take(second)
	is("loads", 3)
	if len(m.recent) != 2 {
		t.Errorf("distributions are of %d ticks, want those of the new process", len(m.recent))
	}
	// One counter goes back by itself, as when a reload takes its resource away.
	third := tickAt(2)
	third.At, third.Values["started"], third.Values["loads"] = tickAt(22).At, again.Values["started"], 1
	take(third)
	is("loads", 0)
	is("requests_redis", 120)
	// What had no room is not known.
	fourth := tickAt(3)
	delete(fourth.Values, "loads")
	fourth.At, fourth.Values["started"], fourth.Dropped = tickAt(23).At, again.Values["started"], 1
	take(fourth)
	is("loads", math.NaN())
	is("requests_redis", 120)
}

// TestTroubleHasABeginning: its event's, the first tick's that has it, and the link's.
func TestTroubleHasABeginning(t *testing.T) {
	s := troubled()
	lines, well := s.live.status(s.alphabet, s.address, begin.Add(2*time.Second))
	if well || len(lines) != 3 || lines[0] != "NOT WELL: the shared tier cannot be asked, since 03:12:11 (and 2 more)" || lines[1] != "also: spared after failures: database, since 03:12:11" {
		t.Errorf("%v, %q", well, lines)
	}
	later := tickAt(3)
	later.Values["redis_up"] = 0
	s.live.take(later, nil, begin.Add(3*time.Second))
	if lines, _ := s.live.status(s.alphabet, s.address, begin.Add(3*time.Second)); len(lines) != 1 || !strings.HasSuffix(lines[0], "since 03:12:11") {
		t.Errorf("a second later: %q", lines)
	}
	if lines, well := s.live.status(s.alphabet, s.address, begin.Add(7500*time.Millisecond)); well || lines[0] != "NO TICK for 4s: the server does not answer. What follows is old." {
		t.Errorf("without ticks: %q", lines)
	}
	s.live.lose(errors.New("first"), begin.Add(9*time.Second))
	s.live.lose(errors.New("second"), begin.Add(12*time.Second))
	if lines, well := s.live.status(alphabet{zone: time.UTC}, "", begin.Add(12*time.Second)); well || lines[0] != "NO LINK since 03:12:18 (3s). What follows is old." || lines[1] != "second" {
		t.Errorf("without a link: %q", lines)
	}
	s.live.take(tickAt(20), nil, begin.Add(20*time.Second))
	if lines, well := s.live.status(s.alphabet, "", begin.Add(20*time.Second)); !well || lines[0] != "All is well." {
		t.Errorf("again: %q", lines)
	}
}

// TestFiguresTell what is wrong by a mark.
func TestFiguresTell(t *testing.T) {
	m := troubled().live
	wrong := []string{}
	for _, f := range m.figures() {
		if f.wrong {
			wrong = append(wrong, f.name+" "+f.text)
		}
	}
	if got := strings.Join(wrong, ", "); got != "errors 5xx 40/s" {
		t.Errorf("wrong are %s", got)
	}
	if got := (distribution{{2, 99}, {51, 1}}).quantile(0.999); !math.IsInf(got, 1) {
		t.Errorf("beyond all buckets: %v", got)
	}
	m.last.Values["feed_degraded"] = 1
	if f := m.feedFigure(); !f.wrong || f.text != "LOST" {
		t.Errorf("a lost feed is %+v", f)
	}
}

// TestKeys do what the help says.
func TestKeys(t *testing.T) {
	s := watched()
	s.draw(size{80, 18}, begin)
	for _, step := range []struct {
		in   string
		want func() bool
	}{
		{"b", func() bool { return s.order == "bytes" }},
		{"m", func() bool { return s.order == "misses" }},
		{"l", func() bool { return s.order == "loads" }},
		{"r", func() bool { return s.order == "reads" }},
		{"\x1b[B\x1b[B\x1bOA", func() bool { return s.offset == 1 }},
		{"\x1b[6~", func() bool { return s.offset == 1+s.page }},
		{"\x1b[H", func() bool { return s.offset == 0 }},
		{"/us\x7fsér:\x1b[1;5Cq\n", func() bool { return s.filter == "usér:q" && !s.typing }},
		{"/\x15x\x1b", func() bool { return s.filter == "usér:q" && !s.typing }},
		{"\x1b", func() bool { return s.filter == "" }},
		{"p", func() bool { return s.frozen != nil }},
		{"p", func() bool { return s.frozen == nil }},
		{"?", func() bool { return s.help }},
		{"q", func() bool { return !s.help }},
		{"\x1b[" + strings.Repeat("1", 40) + "z", func() bool { return s.offset == 0 && s.order == "reads" }},
	} {
		for in := []byte(step.in); len(in) > 0; {
			key, rest, more := nextKey(in)
			if more { // as after a while
				key, rest = keyEscape, nil
			}
			if s.press(key) {
				t.Fatalf("%q quits", step.in)
			}
			in = rest
		}
		if !step.want() {
			t.Errorf("after %q: %+v", step.in, s)
		}
	}
	if !s.press('q') {
		t.Error("q does not quit")
	}
}

// TestRecord is a tick for programs, in one line that harms no terminal.
func TestRecord(t *testing.T) {
	s := watched()
	s.filter = "item"
	line, err := s.record().encoded()
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if !got.Well || got.Rates["requests_memory"] != 12_100 || got.Rates["evictions"] != 0 || *got.HitRatio < 0.98 || len(got.Hot) != 4 || got.Latency.P99 <= got.Latency.P50 || got.Lag != nil {
		t.Errorf("%s", line)
	}
	if got.Hot[1].Key != keys()[3].Key || got.Hot[3].Key != keys()[5].Key {
		t.Errorf("keys come back as %+v", got.Hot)
	}
	if strings.Count(string(line), "\n") != 1 || strings.ContainsAny(string(line), "\x1b\x07\u202e") {
		t.Errorf("%q", line)
	}
}

// TestWidths: what is kept takes the places that are counted, and all else is escaped.
func TestWidths(t *testing.T) {
	a := alphabet{}
	for in, want := range map[string]struct {
		text  string
		width int
	}{
		"user:1": {"user:1", 6}, "张三": {"张三", 4}, "é": {"é", 1}, "e\u0301": {`e\u0301`, 7},
		"🔥": {`\U0001f525`, 10}, "\x1b[2J": {`\x1b[2J`, 7}, "\u200bx": {`\u200bx`, 7}, "ａ": {"ａ", 2}, "שלום": {`\u05e9\u05dc\u05d5\u05dd`, 24},
	} {
		if got := a.clean(in); got != want.text || width(got) != want.width {
			t.Errorf("%q is %q, %d wide; want %q, %d", in, got, width(got), want.text, want.width)
		}
		for n := range 8 {
			if got := a.fit(a.clean(in), n); width(got) != n {
				t.Errorf("%q in %d places is %q, %d wide", in, n, got, width(got))
			}
		}
	}
	if got := (alphabet{ascii: true}).clean("5 µs … 张"); got != `5 us ~ \u5f20` {
		t.Errorf("in ASCII %q", got)
	}
}

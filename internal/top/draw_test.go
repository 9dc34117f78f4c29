package top

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// begin is the time of the tests' first tick.
var begin = time.Date(2026, 11, 22, 3, 12, 9, 0, time.UTC)

// tickAt is a tick some seconds later, of a server that works: counters grow alike each second.
func tickAt(second int) *timeline.Tick {
	n := float64(second + 1)
	return &timeline.Tick{
		At: begin.Add(time.Duration(second) * time.Second).UnixMilli(), Seq: uint64(second + 1), Seconds: 1,
		Values: map[string]float64{
			"requests_memory": 12_100 * n, "requests_redis": 120 * n, "requests_source": 3 * n, "requests_none": n,
			"answers_4xx": n, "loads": 3 * n, "readers_waiting": 2, "readers_waiting_max": 10_000, "ready": 1, "redis_up": 1, "source_up": 1,
			"memory_bytes": 412 << 20, "memory_budget": 1200 << 20, "memory_entries": 1_234_567, "invalidations": 12 * n,
			"connections": 64, "connections_max": 80_000, "cpu_seconds": 0.34 * n, "feed_live": 1, "feed_oldest": 0.02,
			"audit_ratio": 0.9996, "audit_window": 7400, "started": float64(begin.Unix() - 11_520),
		},
		Latency: [][2]uint32{{2, 9000}, {4, 3000}, {11, 224}},
		Delay:   [][2]uint32{{13, 1}},
		Groups: map[string]map[string]float64{
			"node_up": {"10.0.0.1:6379": 1, "10.0.0.2:6379": 1}, "node_tracked": {"10.0.0.1:6379": 1, "10.0.0.2:6379": 1},
			"breaker": {"database": 0}, "limited": {"api": 30 * n, "idle": 0},
		},
	}
}

// keys are hot keys, some of which nobody would choose.
func keys() (all []timeline.Hot) {
	for i, key := range []string{
		"user:1", "user:" + strings.Repeat("7", 60) + "…", "item:张三", "item:\x1b[2J\x1b]0;owned\x07", "item:a\u0301b\u202ec", "item:🔥é",
	} {
		n := 1000 / float64(int(1)<<i)
		all = append(all, timeline.Hot{Key: key, Resource: strings.Split(key, ":")[0], Reads: n, Bytes: 83 * n, Misses: n / 100, Loads: n / 1000, TTL: 50 - 10*float64(i)})
	}
	return all
}

// watched is a screen behind two ticks.
func watched() *screen {
	s := &screen{alphabet: alphabet{zone: time.UTC}, address: "unix:/run/hearth/admin.sock", order: "reads"}
	s.live.take(tickAt(0), keys(), begin)
	s.live.remember([]event{
		{At: begin.Add(-time.Hour).UnixMilli(), Kind: "start", Good: true, Text: "the server was started"},
		{At: begin.Add(-time.Minute).UnixMilli(), Kind: "link", Text: "10.0.0.2:6379 cannot be asked"},
		{At: begin.Add(-50 * time.Second).UnixMilli(), Kind: "link", Good: true, Text: "10.0.0.2:6379 can be asked again"},
	})
	s.live.take(tickAt(1), keys(), begin.Add(time.Second))
	return s
}

// troubled is one whose shared tier is away, among others.
func troubled() *screen {
	s := watched()
	t := tickAt(2)
	t.Values["redis_up"], t.Values["answers_5xx"], t.Values["answers_503"], t.Values["breakers_open"] = 0, 40, 40, 1
	t.Groups["node_up"]["10.0.0.2:6379"], t.Groups["breaker"]["database"] = 0, 1
	t.Checks = map[string]string{"redis": "cannot be asked"}
	t.Events = []event{{At: t.At, Kind: "link", Text: "the shared tier cannot be asked"}}
	s.live.take(t, keys(), begin.Add(2*time.Second))
	return s
}

// TestDraw holds screens against golden files, at several sizes.
func TestDraw(t *testing.T) {
	away := watched()
	away.live.lose(errors.New("the admin listener at 10.0.0.1:9090 (server.admin of /etc/hearth/config.toml) is not reachable: connection refused; is the server running?"), begin.Add(3*time.Second))
	paused := watched()
	paused.press('p')
	paused.live.take(troubled().live.last, nil, begin.Add(2*time.Second))
	filtered := watched()
	for _, key := range "m/ITEM" {
		filtered.press(key)
	}
	plainText := watched()
	plainText.ascii = true
	script := watched()
	script.bare = true
	help := watched()
	help.press('?')
	empty := &screen{alphabet: alphabet{zone: time.UTC}, address: "127.0.0.1:9090", order: "reads"}
	for name, one := range map[string]struct {
		*screen
		size
	}{
		"well-80x24":     {watched(), size{80, 24}},
		"well-40x10":     {watched(), size{40, 10}},
		"well-200x60":    {watched(), size{200, 60}},
		"trouble-80x24":  {troubled(), size{80, 24}},
		"trouble-40x10":  {troubled(), size{40, 10}},
		"away-80x24":     {away, size{80, 24}},
		"paused-80x24":   {paused, size{80, 24}},
		"filtered-80x24": {filtered, size{80, 24}},
		"ascii-80x24":    {plainText, size{80, 24}},
		"script-80":      {script, size{80, 0}},
		"help-80x24":     {help, size{80, 24}},
		"empty-80x24":    {empty, size{80, 24}},
	} {
		var out strings.Builder
		for _, l := range one.draw(one.size, begin.Add(4*time.Second)) {
			out.WriteString(l.text() + "\n")
		}
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// TestEverySizeIsKept: no line is too wide, there are never too many, and the first one always
// says how things are.
func TestEverySizeIsKept(t *testing.T) {
	for name, s := range map[string]*screen{"well": watched(), "trouble": troubled()} {
		for _, order := range Orders {
			s.order = order
			for w := 1; w <= 130; w += 7 {
				for h := 1; h <= 40; h += 3 {
					lines := s.draw(size{w, h}, begin.Add(2*time.Second))
					if len(lines) > h || len(lines) == 0 {
						t.Fatalf("%s, %dx%d: %d lines", name, w, h, len(lines))
					}
					for _, l := range lines {
						if l.width() > w || strings.ContainsAny(l.text(), "\x1b\x07\n") {
							t.Fatalf("%s, %dx%d: the line %q is %d wide", name, w, h, l.text(), l.width())
						}
					}
					if first := lines[0].text(); w > 12 && h > 1 && !strings.HasPrefix(first, map[string]string{"well": "All is well.", "trouble": "NOT WELL:"}[name]) {
						t.Fatalf("%s, %dx%d: it begins with %q", name, w, h, first)
					}
				}
			}
		}
	}
}

// TestMarksAreNotNeeded: with colours, without, and with no codes at all the text is the same.
func TestMarksAreNotNeeded(t *testing.T) {
	codes := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[7m", "", "\x1b[1;31m", "", "\x1b[1;32m", "")
	for _, l := range troubled().draw(size{80, 24}, begin.Add(2*time.Second)) {
		for _, with := range []map[mark]string{coloured, colourless, nil} {
			if text := codes.Replace(l.painted(with)); strings.TrimRight(text, " ") != l.text() {
				t.Errorf("%q is painted as %q", l.text(), l.painted(with))
			}
		}
		if strings.Contains(l.painted(colourless), "\x1b[1;3") || strings.Contains(l.painted(nil), "\x1b") {
			t.Errorf("without colours it is %q", l.painted(colourless))
		}
	}
}

package report

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLatencies compares with what sorting says.
func TestLatencies(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l, half Latencies
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(random.Int64N(1 << random.IntN(40)))
		all = append(all, d)
		if len(all)%2 == 0 {
			l.Add(d)
		} else {
			half.Add(d)
		}
	}
	l.Merge(&half)
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.9999} {
		want := all[int(q*float64(len(all)))]
		if got := l.Quantile(q); got < want || got > want+want/steps+1 {
			t.Errorf("quantile %v is %v, want %v or a sixteenth more", q, got, want)
		}
	}
	if l.N != 10_000 || l.Longest != all[len(all)-1] || l.Quantile(1) != l.Longest {
		t.Errorf("%d times, the longest %v, quantile 1 %v, want 10000 and %v", l.N, l.Longest, l.Quantile(1), all[len(all)-1])
	}
	if got := new(Latencies).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	l.Add(1<<63 - 1)
	l.Add(-1)
	if l.N != 10_002 {
		t.Error("the extremes were not counted")
	}
}

func TestClassesAreInOrder(t *testing.T) {
	for c := range 40 * steps {
		if class(upper(c)) != c || class(upper(c)+1) != c+1 {
			t.Fatalf("class %d ends at %v, which is in class %d, and the next in %d", c, upper(c), class(upper(c)), class(upper(c)+1))
		}
	}
}

func TestDelays(t *testing.T) {
	d := NewDelays(time.Millisecond, time.Second)
	for _, at := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Second, time.Minute} {
		d.Add(at)
	}
	if got, want := d.Text("%s: %d", ", "), "to 1ms: 2, to 1s: 2, more: 1"; got != want || d.Worst() != time.Minute {
		t.Errorf("got %s, the worst %v, want %s and 1m", got, d.Worst(), want)
	}
}

func TestSection(t *testing.T) {
	s := &Section{Title: "title"}
	var l Latencies
	l.Add(1234567)
	s.Times("latency", &l)
	s.Figure("ratio", "%.1f", Ratio(3*time.Second, 2*time.Second))
	s.Bound(true, "held: %d", 1)
	s.Bound(false, "not held")
	var out strings.Builder
	s.Print(&out)
	want := `
title
  latency                    p50 1.23ms, p99 1.23ms, longest 1.23ms
  ratio                      1.5
  ok   held: 1
  MISS not held
`
	if out.String() != want || s.Missed != 1 {
		t.Errorf("%d missed, got:%s\nwant:%s", s.Missed, out.String(), want)
	}
}

func TestRecord(t *testing.T) {
	e := EnvironmentOf(t.Context(), "command", "/nonexistent")
	dir := filepath.Join(t.TempDir(), "new")
	if err := e.Record(dir, "name", struct {
		Environment
		Figure int
	}{e, 7}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, e.at.Format("2006-01-02-1504")+"-name.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil || got["Command"] != "command" || got["Figure"] != 7.0 || got["Kernel"] == "" || got["Hearth"] != "" {
		t.Errorf("got %s, %v", text, err)
	}
}

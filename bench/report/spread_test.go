package report

import "testing"

func TestSpread(t *testing.T) {
	f := func(values []float64, want Spread) {
		t.Helper()
		if got := SpreadOf(values); got != want {
			t.Errorf("SpreadOf(%v) = %v, want %v", values, got, want)
		}
	}
	f(nil, Spread{})
	f([]float64{3}, Spread{3, 3, 3})
	f([]float64{3, 1, 2}, Spread{2, 1, 3})
	f([]float64{4, 1, 2, 3}, Spread{2.5, 1, 4})
}

// TestBounds: a bound is missed only when the whole spread lies beyond it.
func TestBounds(t *testing.T) {
	s := Spread{Median: 2, Min: 1, Max: 3}
	f := func(bound float64, most, least string) {
		t.Helper()
		if got := s.AtMost(bound); got != most {
			t.Errorf("at most %v: %q, want %q", bound, got, most)
		}
		if got := s.AtLeast(bound); got != least {
			t.Errorf("at least %v: %q, want %q", bound, got, least)
		}
	}
	f(0.5, Missed, "met")
	f(1.5, "met within the spread", "met")
	f(2, "met", "met")
	f(2.5, "met", "met within the spread")
	f(3.5, "met", Missed)
}

func TestRatiosAreFormedWithinARound(t *testing.T) {
	type sample struct {
		round  int
		figure float64
	}
	ours, theirs := []sample{{1, 6}, {2, 8}, {4, 1}}, []sample{{2, 2}, {1, 3}, {3, 1}, {4, 0}}
	got := RatiosBy(ours, theirs, func(s sample) int { return s.round }, func(s sample) float64 { return s.figure })
	if len(got) != 2 || got[0] != 2 || got[1] != 4 {
		t.Errorf("got %v, want 2 and 4", got)
	}
}

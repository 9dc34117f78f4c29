// Package report is how proofs and benchmarks say what came out: spreads over rounds
// and whether they keep their bounds, latencies, sections of figures, a plot, and a
// record in JSON.
//
// It is a room of its own because all of them have to judge alike: on a machine whose
// speed changes from minute to minute, one number says little, and which of several
// numbers is reported must not depend on who reports.
package report

import "slices"

// Spread is a median with its least and most.
type Spread struct{ Median, Min, Max float64 }

// SpreadOf sums values up. It leaves them as they are; of none all is 0.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(values))
	middle := s[len(s)/2]
	if len(s)%2 == 0 {
		middle = (middle + s[len(s)/2-1]) / 2
	}
	return Spread{Median: middle, Min: s[0], Max: s[len(s)-1]}
}

// SpreadBy is the spread of one figure of many samples.
func SpreadBy[S any](samples []S, figure func(S) float64) Spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return SpreadOf(values)
}

// RatiosBy are the ratios of one figure of two servers, each formed within a round and
// never across: what disturbs a machine for half a minute disturbs both.
func RatiosBy[S any](ours, theirs []S, round func(S) int, figure func(S) float64) (ratios []float64) {
	for _, a := range ours {
		for _, b := range theirs {
			if round(a) == round(b) && figure(b) > 0 {
				ratios = append(ratios, figure(a)/figure(b))
			}
		}
	}
	return ratios
}

// AtMost says whether an upper bound is kept. It is missed only when every round
// was beyond it: a median just above it may be noise.
func (s Spread) AtMost(bound float64) string { return judge(s.Median <= bound, s.Min <= bound) }

// AtLeast says whether a lower bound is kept, likewise.
func (s Spread) AtLeast(bound float64) string { return judge(s.Median >= bound, s.Max >= bound) }

// Missed is what is said of a bound that no round has kept.
const Missed = "missed"

func judge(median, best bool) string {
	switch {
	case median:
		return "met"
	case best:
		return "met within the spread"
	}
	return Missed
}

package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPlotDrawsEveryBar(t *testing.T) {
	got := Plot("all", "all of them", []Bar{
		{Label: "a hit < nothing", Spread: Spread{Min: 0.9, Median: 1, Max: 1.1}, Bound: 1.05},
		{Label: "off the axis", Spread: Spread{Min: 0.001, Median: 0.002, Max: 90}, Bound: 0.5, Missed: true},
	})
	for dec := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, got)
		}
	}
	if n := strings.Count(got, "<circle"); n != 2 {
		t.Errorf("%d rows are drawn, want 2", n)
	}
	if n := strings.Count(got, `<circle class="missed"`); n != 1 {
		t.Errorf("%d are drawn as missed, want 1", n)
	}
	if left, right := plotX(0), plotX(1000); left < plotLeft || right > plotWidth-plotMargin {
		t.Errorf("ratios beyond the axis are drawn at %v and %v", left, right)
	}
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"hearth/bench/figure"
)

func TestPlotDrawsEveryMeasuredRow(t *testing.T) {
	r := report{Rows: []finding{
		{Work: "a hit < nothing", Ratio: figure.Spread{Min: 0.9, Median: 1, Max: 1.1}, Bound: 1.05, Verdict: "met"},
		{Work: "off the axis", Ratio: figure.Spread{Min: 0.001, Median: 0.002, Max: 90}, Bound: 0.5, Verdict: "missed"},
		{Work: "not there", Problem: "it did not start"},
	}}
	got := r.plot()
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
	if strings.Contains(got, "not there") {
		t.Error("a row that was not measured is drawn")
	}
	if left, right := plotX(0), plotX(1000); left < plotLeft || right > plotWidth-plotMargin {
		t.Errorf("ratios beyond the axis are drawn at %v and %v", left, right)
	}
}

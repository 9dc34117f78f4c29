package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSharesDrawEveryShare(t *testing.T) {
	got := Shares{
		Label: "all", Title: "all of them", Series: []string{"a", "b < c"}, Bold: "a",
		Groups: []ShareGroup{
			{Title: "one", Rows: []ShareRow{{"x", []float64{0.1, 0.2}}, {"y", []float64{0, 1}}}},
			{Title: "two", Rows: []ShareRow{{"z", []float64{-1, 2}}}},
		},
	}.SVG()
	for dec := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, got)
		}
	}
	if n, want := strings.Count(got, "<circle"), 2+2*3; n != want {
		t.Errorf("%d dots are drawn, want %d: the legend's and those of three rows", n, want)
	}
	if left, right := shareX(-1), shareX(2); left < sharesLeft || right > sharesWidth-sharesRight {
		t.Errorf("shares beyond the axis are drawn at %v and %v", left, right)
	}
}

package engine

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// isNumber agrees with encoding/json and with strconv.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"1", "-0", "1.", ".5", "1e+5", "0x1", "1_0", " 1", "1 ", "01", "9999999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n json.Number
		want := json.Unmarshal([]byte(text), &n) == nil && n.String() == text && text != ""
		if got := IsNumber([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
		if _, err := strconv.ParseFloat(text, 64); want && err != nil && !strings.Contains(err.Error(), "range") {
			t.Errorf("%q is a number to JSON: %v", text, err)
		}
	})
}

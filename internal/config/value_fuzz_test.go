package config_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/internal/config"
)

// A rate, read by a plain model: digits, a slash, a letter.
func FuzzRate(f *testing.F) {
	for _, seed := range []string{"100/s", "5000/m", "1/h", "0/s", "+1/s", "1/d", "1e3/s", "1000000001/s", "1_0/s", "/s", "1/", "00/s", "01/s", " 1/s"} {
		f.Add(seed)
	}
	windows := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := config.ParseRate(text)
		digits, unit, _ := strings.Cut(text, "/")
		n, err := strconv.ParseInt(digits, 10, 64)
		want := err == nil && n >= 1 && n <= 1_000_000_000 && strings.Trim(digits, "0123456789") == "" && len(unit) == 1 && windows[unit[0]] > 0
		if ok != want || ok && (int64(got.Count) != n || got.Window != windows[unit[0]]) {
			t.Errorf("%q: got %+v, %v, want %v", text, got, ok, want)
		}
	})
}

// A size that is taken is the product of its count and its unit.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"8MiB", "512 KiB", "4096", "9223372036854775807", "8796093022208MiB", "1GiB", "1gib", "-1", "1.5MiB", ""} {
		f.Add(seed)
	}
	units := map[string]float64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := config.ParseSize(text)
		if !ok {
			return
		}
		text = strings.Trim(text, " \t\n\f\r") // blanks around it, whichever, do no harm
		digits := strings.TrimRight(text, " \t\n\f\rKMGiB")
		n, err := strconv.ParseFloat(digits, 64)
		want := n * units[strings.TrimSpace(strings.TrimPrefix(text, digits))]
		if got < 0 || err != nil || math.Abs(float64(got)-want) > want*1e-9 {
			t.Errorf("%q: got %d, want %v (%v)", text, got, want, err)
		}
	})
}

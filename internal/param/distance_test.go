package param_test

import (
	"math"
	"strings"
	"testing"

	"hearth/internal/param"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	f := func(a, b string, want int) {
		t.Helper()
		for _, pair := range [][2]string{{a, b}, {b, a}} {
			if got := param.Distance(pair[0], pair[1]); got != want {
				t.Errorf("%q and %q: got %d, want %d", pair[0], pair[1], got, want)
			}
		}
	}
	f("", "", 0)
	f("name", "", 4)
	f("name", "NAME", 0)
	f("name", "nmae", 1)
	f("name", "nam", 1)
	f("name", "nane", 1)
	f("city", "name", 4)
	f("kitten", "sitting", 3)
	f("ab", "bca", 3) // a pair that was swapped is not changed again
	f(strings.Repeat("a", 64), strings.Repeat("a", 63), 1)
	f(strings.Repeat("a", 65), "a", math.MaxInt)
}

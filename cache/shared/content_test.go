package shared

import (
	"strings"
	"testing"
)

// TestALargeValueIsCheckedOnce: what was found to be JSON is known, and only that.
func TestALargeValueIsCheckedOnce(t *testing.T) {
	t.Parallel()
	good := []byte(`"` + strings.Repeat("noise ", 40_000) + `"`)
	bad := []byte(strings.TrimSuffix(string(good), `"`) + "\x01\"")
	for range 2 {
		if !isJSON(good) || isJSON(bad) || isJSON(good[1:]) {
			t.Fatalf("JSON: %v, with a control byte %v, without its beginning %v", isJSON(good), isJSON(bad), isJSON(good[1:]))
		}
	}
}

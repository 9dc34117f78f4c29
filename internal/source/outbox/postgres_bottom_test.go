package outbox

import (
	"testing"
	"time"
)

// TestBottom: where a look begins follows from what may have been written since.
func TestBottom(t *testing.T) {
	t.Parallel()
	b := &bottom{}
	now := time.Unix(1e9, 0)
	for i, c := range []struct {
		key     string
		last    int64
		running []int64
		found   int64 // the first row of the look; 0: none
		want    int64
	}{
		{"a", 100, nil, 0, 0},
		{"a", 200, nil, 0, 0},             // nothing is known before the first
		{"a", 300, []int64{7}, 0, 100},    // 7 was not there at 200, or was not listed
		{"a", 400, []int64{7}, 0, 200},    //
		{"a", 500, []int64{7, 8}, 0, 300}, // 8 has ids beyond 300
		{"a", 600, []int64{7}, 0, 300},    // 8 is over
		{"a", 700, []int64{7}, 0, 500},    //
		{"a", 800, nil, 0, 100},           // 7 is over
		{"a", 900, nil, 250, 700},         // a row of it is found, late
		{"a", 1000, nil, 250, 249},        // and not handled
		{"a", 1100, nil, 0, 249},          // now it is
		{"a", 1200, []int64{9}, 0, 1000},  //
		{"b", 1300, nil, 0, 0},            // another server
		{"b", 1400, nil, 0, 0},            //
		{"b", 1500, nil, 0, 1300},         //
		{"b", 12, []int64{10}, 0, 0},      // the ids begin anew
		{"b", 20, []int64{10}, 0, 0},      //
		{"b", 30, nil, 0, 0},              // 10 was there first
		{"b", 40, nil, 0, 20},             //
		{"b", 50, nil, 0, 30},
	} {
		if got := b.from(sight{c.key, c.last, c.running}, now); got != c.want {
			t.Errorf("look %d: begins behind %d, want %d", i, got, c.want)
		}
		b.lowest = c.found
	}
	if got := b.from(sight{"b", 60, nil}, now.Add(wholeEvery)); got != 0 {
		t.Errorf("after a minute a look begins behind %d, want the beginning", got)
	}
	if got := b.from(sight{"b", 70, nil}, now.Add(wholeEvery)); got != 50 {
		t.Errorf("the look after it begins behind %d, want 50", got)
	}
}

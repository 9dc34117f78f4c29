package hotkeys

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/cache/memory"
)

const second = int64(time.Second)

func yes(*memory.Shape) bool { return true }

func reads(n float64) Weights { return Weights{Reads: n} }

// TestTheTopOfAZipf: the hottest keys are found in their order, whatever comes between.
func TestTheTopOfAZipf(t *testing.T) {
	table, shape := New(), memory.NewShape("")
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.2, 1, 1_000_000)
	const events, lasts = 200_000, 20
	for i := range events {
		now := int64(i) * lasts * second / events
		table.Add(now, shape, strconv.AppendUint(nil, zipf.Uint64(), 10), reads(1))
	}
	var top []string
	for _, hot := range table.Top(lasts*second, Reads, 5, yes) {
		top = append(top, hot.Key)
	}
	if got := strings.Join(top, " "); got != "0 1 2 3 4" {
		t.Errorf("the top is %s", got)
	}
}

// TestRates are those of late, rather too low than too high, and fade.
func TestRates(t *testing.T) {
	table, shape := New(), memory.NewShape("")
	at := int64(0)
	for range 60 * 100 {
		at += second / 100
		table.Add(at, shape, []byte("a"), Weights{Reads: 2, Bytes: 500})
	}
	rate := func(at int64) Weights { return table.Top(at, Reads, 1, yes)[0].Rates }
	if got := rate(at); got[Reads] < 190 || got[Reads] > 205 || got[Bytes] < 47_500 || got[Bytes] > 51_000 || got[Loads] != 0 {
		t.Errorf("200 reads a second are %v", got)
	}
	if got := rate(at + 30*second); got[Reads] > 1 {
		t.Errorf("half a minute later there are %v", got)
	}
	at += 10_000 * second // far beyond what a weight can grow
	table.Add(at, shape, []byte("b"), reads(10))
	if got := table.Top(at, Reads, 10, yes); len(got) != 1 || got[0].Key != "b" || got[0].Rates[Reads] != 2 {
		t.Errorf("hours later there are %+v", got)
	}
}

// TestAScanHidesNothing: a million keys that come once each push out no hot one, and are not
// shown before it.
func TestAScanHidesNothing(t *testing.T) {
	table, shape := New(), memory.NewShape("")
	const scanned = 300_000
	hottest := 0
	for i := range scanned {
		now := int64(i) * 10 * second / scanned
		table.Add(now, shape, fmt.Append(nil, "scan:", i), reads(1))
		if i%100 == 0 {
			table.Add(now, shape, []byte("hot"), reads(1))
			hottest++
		}
		if i%300 == 0 {
			table.Add(now, shape, []byte("warm"), reads(1))
		}
	}
	got := table.Top(10*second, Reads, 3, yes)
	if got[0].Key != "hot" || got[1].Key != "warm" || got[2].Rates[Reads] > 1 {
		t.Errorf("the top is %+v", got)
	}
	if n := len(table.ranked[Reads].least); n != counters || len(table.ranked[Reads].index) != counters {
		t.Errorf("%d counters, %d in the index", n, len(table.ranked[Reads].index))
	}
}

// TestRankingsAreCompared with exact counts of a random stream: never above, and short by the
// error at most.
func TestRankingsAreCompared(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	ranked := newRanking()
	r := &ranked
	shape := memory.NewShape("")
	exact := map[string]float64{}
	total := 0.0
	for range 100_000 {
		key := strconv.Itoa(int(random.ExpFloat64() * 800))
		w := float64(1 + random.IntN(3))
		exact[key] += w
		total += w
		count(r, shape, key, w)
	}
	for _, it := range r.least {
		if it.sure() > exact[it.key]+1e-6 || it.value < exact[it.key]-1e-6 {
			t.Fatalf("%s came to %v, counted between %v and %v", it.key, exact[it.key], it.sure(), it.value)
		}
		if it.err > total/counters {
			t.Fatalf("the error of %s is %v of %v", it.key, it.err, total)
		}
	}
	for key, n := range exact {
		if n > total/counters && r.index[identity{shape, key}] == nil {
			t.Errorf("%s came to %v of %v, and is not counted", key, n, total)
		}
	}
	for i, it := range r.least {
		if it.at != i || r.index[it.identity] != it {
			t.Fatalf("the place of %s is %d, and not %d", it.key, i, it.at)
		}
	}
}

// TestLongKeys are cut, and keys of resources that are gone are not shown.
func TestLongKeys(t *testing.T) {
	table, shape, gone := New(), memory.NewShape(""), memory.NewShape("")
	table.Add(0, shape, []byte(strings.Repeat("k", 4000)), reads(1))
	if !table.Try(0, gone, strings.Repeat("k", 4000), reads(5)) {
		t.Error("nobody was at the table")
	}
	got := table.Top(0, Reads, 10, func(s *memory.Shape) bool { return s == shape })
	if len(got) != 1 || len(got[0].Key) != MaxKey || got[0].Shape != shape {
		t.Errorf("got %d keys", len(got))
	}
}

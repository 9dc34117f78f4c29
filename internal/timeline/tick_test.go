package timeline

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestTheHottestKeysHaveRoom with every column at its widest, and what a page takes for the state of
// the server is told, too.
func TestTheHottestKeysHaveRoom(t *testing.T) {
	for name, key := range map[string]string{"plain": "user:12345678", "long": strings.Repeat("k", 200), "hostile": strings.Repeat("\x00", 200)} {
		tick := &Tick{At: 1764400000123, Seq: 10_000_000, Seconds: 1.000123, Values: map[string]float64{}}
		for _, c := range columns {
			tick.Values[c.ID] = 8_765_432_109_876.54321
		}
		for i := range 52 {
			tick.Latency = append(tick.Latency, [2]uint32{uint32(i), 1_000_000})
			tick.Hot = append(tick.Hot, Hot{Key: key, Resource: "orders_of_customers", Reads: 123456.78, Bytes: 98765432.1, Misses: 2.5, Loads: 1.5, TTL: 3599.9})
		}
		text := encodeTick(tick)
		var got Tick
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if len(text) > MaxTick || len(got.Hot) < hottestKeys || got.Dropped == 0 {
			t.Errorf("%s: %d bytes with %d hot keys: %s", name, len(text), len(got.Hot), text)
		}
		for _, id := range []string{"requests_memory", "started", "redis_up", "source_up", "draining", "feed_degraded", "audit_window", "answers_503"} {
			if got.Values[id] == 0 {
				t.Errorf("%s: there is no %s: %s", name, id, text)
			}
		}
	}
}

// TestDigits: as many as tell something.
func TestDigits(t *testing.T) {
	of := func(kind string, v, want float64) {
		t.Helper()
		if got := rounded(Column{Kind: kind}, v); got != want {
			t.Errorf("%s %v is told as %v, want %v", kind, v, got, want)
		}
	}
	of(gauge, 0.000123456789, 0.000123457)
	of(gauge, 12.3456789, 12.3457)
	of(gauge, 1764400000.987, 1764400001)
	of(gauge, 0.999999123456789, 0.999999123457)
	of(gauge, 1, 1)
	of(gauge, -0.000123456789, -0.000123457)
	of(counter, 98765.432101234, 98765.432101) // of which a page shows how much it has grown
	of(counter, 1<<60, 1<<60)
}

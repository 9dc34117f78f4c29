package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
)

const (
	spreadLifetime = time.Hour
	spreadAtOnce   = 100 // ids of a many-read
	spreadBuckets  = 10
)

// spread loads many keys with one lifetime and looks when Redis will forget them. Were
// it all at once, the database would have to load all of them again at once.
func spread(t *trial) {
	s := normal()
	s.Cold = spreadLifetime.String()
	f := t.assemble(s)
	all := t.connect(f, 1, t.seed)
	// Each instance reads every fourth hundred.
	all.Each(t, func(_ context.Context, c *load.Client) error {
		for from := 1 + c.Instance*spreadAtOnce; from <= t.spreadKeys; from += instances * spreadAtOnce {
			if err := c.Ask(manyPath(from, spreadAtOnce)); err != nil {
				return err
			}
		}
		return nil
	})
	left := t.lifetimes()
	least, most, counts := histogram(left)
	width := 100 * float64(most-least) / float64(spreadLifetime)
	t.Figure("keys", "%d, loaded by many-reads of %d; ttl.cold is %v", len(left), spreadAtOnce, spreadLifetime)
	t.answers(all.Total())
	t.Figure("expiries", "in %v to %v: spread over %.1f %% of the lifetime", least.Round(time.Second), most.Round(time.Second), width)
	t.Figure("tenths of that", "%s", strings.Trim(fmt.Sprint(counts), "[]"))
	t.Bound(len(left) == t.spreadKeys, "every key has an expiry: %d of %d", len(left), t.spreadKeys)
	t.Bound(width >= 15, "the expiries spread over at least 15 %% of the lifetime")
}

// lifetimes asks Redis how long each key will live on; those without an expiry, or that
// are not there, are left out.
func (t *trial) lifetimes() (all []time.Duration) {
	c := t.redis.AdminConn()
	for id := 1; id <= t.spreadKeys; id++ {
		if ms, ok := c.Do("PTTL", "many:"+strconv.Itoa(id)).(int64); ok && ms >= 0 {
			all = append(all, time.Duration(ms)*time.Millisecond)
		}
	}
	return all
}

// histogram counts times by the tenth of their range in which they lie.
func histogram(all []time.Duration) (least, most time.Duration, counts [spreadBuckets]int) {
	for i, d := range all {
		if i == 0 {
			least, most = d, d
		}
		least, most = min(least, d), max(most, d)
	}
	for _, d := range all {
		counts[min(int(spreadBuckets*(d-least)/max(most-least, 1)), spreadBuckets-1)]++
	}
	return least, most, counts
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	spreadLifetime = time.Hour
	spreadAtOnce   = 100 // ids of a many-read
	spreadBuckets  = 10
)

// spread loads many keys with one lifetime and looks when Redis will forget them.
func spread(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Cold = spreadLifetime.String()
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(1, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	// Each instance reads every fourth hundred.
	err = all.each(ctx, func(_ context.Context, c *client) error {
		for from := 1 + c.instance*spreadAtOnce; from <= t.spreadKeys; from += instances * spreadAtOnce {
			if err := c.ask(manyPath(from, spreadAtOnce)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sum := all.total()
	left, err := t.lifetimes()
	if err != nil {
		return err
	}
	least, most, counts := histogram(left)
	width := most - least
	t.figure("keys", "%d, loaded by many-reads of %d; ttl.cold is %v", len(left), spreadAtOnce, spreadLifetime)
	t.tiers(sum)
	t.figure("expiries", "in %v to %v: spread over %.1f %% of the lifetime", least.Round(time.Second), most.Round(time.Second), percent(width))
	t.figure("tenths of that", "%s", strings.Trim(fmt.Sprint(counts), "[]"))
	t.bound(len(left) == t.spreadKeys, "every key has an expiry: %d of %d", len(left), t.spreadKeys)
	t.bound(percent(width) >= 15, "the expiries spread over at least 15 %% of the lifetime")
	return nil
}

func percent(d time.Duration) float64 { return 100 * float64(d) / float64(spreadLifetime) }

// manyPath asks for n records, beginning with this id.
func manyPath(from, n int) string {
	b := []byte("/many")
	for i := range n {
		separator := "&id="
		if i == 0 {
			separator = "?id="
		}
		b = strconv.AppendInt(append(b, separator...), int64(from+i), 10)
	}
	return string(b)
}

// lifetimes asks Redis how long each key will live on; those without an expiry, or that
// are not there, are left out.
func (t *trial) lifetimes() ([]time.Duration, error) {
	c, err := t.redis.Dial()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []time.Duration
	for id := 1; id <= t.spreadKeys; id++ {
		reply, err := c.Do("PTTL", "many:"+strconv.Itoa(id))
		if err != nil {
			return nil, err
		}
		ms, err := strconv.ParseInt(reply, 10, 64)
		if err != nil {
			return nil, err
		}
		if ms >= 0 {
			all = append(all, time.Duration(ms)*time.Millisecond)
		}
	}
	return all, nil
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

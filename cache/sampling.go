package cache

import (
	"time"

	"hearth/cache/hotkeys"
	"hearth/cache/memory"
)

const (
	samplesASecond = 2000
	// sampledEvery is how often samples are looked at; sampledIdle while there are few, so
	// that a server which nobody asks hardly ever wakes up for them. Readers pick fewer by
	// themselves when hits come in greater numbers meanwhile.
	sampledEvery = 50 * time.Millisecond
	sampledIdle  = 400 * time.Millisecond
	fewSamples   = 16
)

// sampleHits looks at samples of what memory answers, as long as the cache lives, away from
// those who read.
func (c *Cache) sampleHits() {
	var rate hitRate
	c.store.SampleOneOf(1)
	defer c.store.SampleOneOf(0)
	pause, last := sampledEvery, c.store.Now()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-timer.C:
		}
		samples, hits := c.takeSamples()
		now := c.store.Now()
		c.store.SampleOneOf(rate.oneOf(hits, time.Duration(now-last)))
		c.hot.adjust(time.Duration(now - last))
		last = now
		if pause *= 2; samples >= fewSamples {
			pause = sampledEvery
		}
		pause = min(pause, sampledIdle)
		timer.Reset(pause)
	}
}

// takeSamples hands on what was picked, and tells how many hits it stands for.
func (c *Cache) takeSamples() (samples int, hits uint64) {
	c.store.TakeSamples(func(s *memory.Sample) {
		samples++
		hits += uint64(s.For)
		c.auditor.offer(s)
		n := float64(s.For)
		c.hot.Add(s.At, s.Shape, s.Key, hotkeys.Weights{hotkeys.Reads: n, hotkeys.Bytes: n * float64(s.Bytes)})
	})
	return samples, hits
}

// hitRate is how many hits a second there are. It goes up at once and down by halves: what
// comes in batches comes in some of the drains only.
type hitRate float64

// oneOf is of how many hits one is to be picked from now on, after so many within a while.
func (r *hitRate) oneOf(hits uint64, within time.Duration) int {
	if within > 0 {
		*r = max(hitRate(float64(hits)/within.Seconds()), *r/2)
	}
	return int(*r/samplesASecond) + 1
}

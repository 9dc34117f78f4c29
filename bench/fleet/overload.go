package main

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	overloadQuery   = 50 * time.Millisecond
	overloadCap     = 4   // load.max_concurrent: with the query, what an instance can load is 80 a second
	overloadFlood   = 100 // clients of each instance that ask for cold records
	overloadReaders = 4   // clients of each instance that read what is in memory, as fast as they can
	overloadKeys    = 40
	overloadPace    = overloadQuery / (instances * overloadCap) / 3 // three times what all can load
)

// overload offers three times what the fleet can load, while others read records
// that are in memory.
func overload(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Query, s.MaxConcurrent = overloadQuery, overloadCap
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	readers, err := f.gather(overloadReaders, t.seed)
	if err != nil {
		return err
	}
	defer readers.close()
	paths := make([]string, overloadKeys)
	for i := range paths {
		paths[i] = "/row/" + strconv.Itoa(1+i)
	}
	if err := readers.warm(ctx, paths); err != nil {
		return err
	}
	readers.total()
	// Alone and under the flood in turns: the machine has other moods, too.
	alone, flooded, sum := &tally{}, &tally{}, &tally{}
	var shed latencies
	next := int64(overloadKeys)
	for range overloadTurns {
		if err := readers.readFor(ctx, t.overloaded, paths); err != nil {
			return err
		}
		alone.merge(readers.total())
		flood, err := f.gather(overloadFlood, t.seed+1) // anew: who says nothing for long is cut off
		if err != nil {
			return err
		}
		stop := flood.askCold(ctx, &next)
		err = readers.readFor(ctx, t.overloaded, paths)
		refused, floodErr := stop()
		flood.close()
		if err := errors.Join(err, floodErr); err != nil {
			return err
		}
		shed.merge(refused)
		flooded.merge(readers.total())
		sum.merge(flood.total())
	}
	a, err := t.witness.account(ctx)
	if err != nil {
		return err
	}
	share := float64(flooded.times.n) / float64(max(1, alone.times.n))
	t.figure("load", "%d cold records asked for in %v, a query takes %v, %d at a time", sum.times.n, overloadTurns*t.overloaded, overloadQuery, instances*overloadCap)
	t.tiers(sum)
	t.times("refused", &shed)
	t.figure("hits", "%d alone, %d under the flood", alone.times.n, flooded.times.n)
	t.bound(share >= t.kept, "hits keep %.0f %% of their throughput", 100*share)
	t.bound(flooded.ok[memory] == flooded.times.n, "every hit is answered from memory: %d of %d", flooded.ok[memory], flooded.times.n)
	t.bound(sum.refused > 0 && sum.failed == 0, "what is too much is refused with Retry-After: %d, other failures %d", sum.refused, sum.failed)
	t.bound(t.shedWithin == 0 || shed.quantile(0.99) < t.shedWithin, "it is refused at once: 99 %% within %v", brief(shed.quantile(0.99)))
	t.bound(a.peak <= instances*overloadCap, "never more than %d queries at a time: %d", instances*overloadCap, a.peak)
	return nil
}

const overloadTurns = 3

// readFor reads records for so long, each client as fast as it can.
func (all crowd) readFor(ctx context.Context, last time.Duration, paths []string) error {
	ends := time.Now().Add(last)
	return all.each(ctx, func(ctx context.Context, c *client) error {
		for time.Now().Before(ends) && ctx.Err() == nil {
			if err := c.ask(paths[c.rand.IntN(len(paths))]); err != nil {
				return err
			}
		}
		return nil
	})
}

// askCold asks for one cold record after another, evenly, whoever of the crowd is
// free, until the function that it returns is called. That one returns how long the
// refused were kept.
func (all crowd) askCold(ctx context.Context, next *int64) (stop func() (*latencies, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var first atomic.Int64
	first.Store(*next)
	began := time.Now()
	refused := make([]latencies, len(all))
	var running sync.WaitGroup
	var failed error
	running.Go(func() {
		failed = all.each(ctx, func(ctx context.Context, c *client) error {
			for ctx.Err() == nil {
				id := first.Add(1)
				due := began.Add(time.Duration(id-*next) * overloadPace)
				if wait := time.Until(due); wait > 0 && !pause(ctx, wait) {
					return nil
				}
				before, sent := c.refused, time.Now()
				if err := c.ask("/row/" + strconv.FormatInt(id, 10)); err != nil {
					return err
				}
				if c.refused > before {
					refused[c.number].add(time.Since(sent))
				}
			}
			return nil
		})
	})
	return func() (*latencies, error) {
		cancel()
		running.Wait()
		*next = first.Load()
		sum := &latencies{}
		for i := range refused {
			sum.merge(&refused[i])
		}
		return sum, failed
	}
}

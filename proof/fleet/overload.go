package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/figure"
	"hearth/bench/process"
)

const (
	overloadQuery   = 50 * time.Millisecond
	overloadCap     = 4   // load.max_concurrent: with the query, what an instance can load is 80 a second
	overloadFlood   = 100 // clients of each instance that ask for cold records
	overloadReaders = 16  // clients, over all instances asked, that read what is in memory as fast as they can
	overloadKeys    = 40
	overloadTurns   = 5
)

// overload offers an instance three times what it can load, while others read
// records that are in memory. Then the same with all instances.
//
// Everything shares the processors, so hits also lose what Redis, the database and
// the clients of the flood take; with all instances four times as much of it, on the
// same two processors, which is why only the first is judged. What Hearth itself
// takes from them is told by its processor time: all of it, loads and refusals
// included, for each hit. A turn with as much as can be loaded tells what is due to
// the work and what to the overload.
func overload(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Query, s.MaxConcurrent = overloadQuery, overloadCap
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	next := int64(overloadKeys) // the last cold record that was asked for
	for _, on := range []int{1, instances} {
		if err := t.overloadOn(ctx, f, on, &next); err != nil {
			return err
		}
	}
	a, err := t.witness.account(ctx)
	if err != nil {
		return err
	}
	t.bound(a.peak <= instances*overloadCap, "never more than %d queries at a time: %d", instances*overloadCap, a.peak)
	return nil
}

// overloadOn asks so many of the instances only.
func (t *trial) overloadOn(ctx context.Context, f *fleet, on int, next *int64) error {
	readers, err := f.gatherOn(on, overloadReaders/on, t.seed)
	if err != nil {
		return err
	}
	defer readers.close()
	o := &overloading{
		trial: t, fleet: f, on: on, readers: readers, next: next, cold: &tally{}, hits: &tally{},
		pace: overloadQuery / time.Duration(on*overloadCap),
	}
	for i := range overloadKeys {
		o.paths = append(o.paths, "/row/"+strconv.Itoa(1+i))
	}
	if err := readers.warm(ctx, o.paths); err != nil {
		return err
	}
	readers.total()
	for range overloadTurns { // in turns, for the machine has other moods, too
		if err := o.turn(ctx); err != nil {
			return err
		}
	}
	o.report()
	return nil
}

// overloading is the scenario under way.
type overloading struct {
	*trial
	fleet   *fleet
	on      int // instances that are asked
	readers crowd
	paths   []string
	next    *int64
	pace    time.Duration // between two cold requests: as many as can be loaded

	full, alone, cheap []float64 // of each turn: hits kept of those at capacity, of those alone, and for the same processor time
	cold               *tally    // of the flood
	refused            latencies
	hits               *tally // beside it
}

// yield is what readers got in one phase.
type yield struct {
	hits *tally
	used time.Duration // processor time of all instances
}

func (y yield) count() float64 { return float64(max(1, y.hits.times.n)) }

// cost is the processor time of a hit, with all else that was done meanwhile.
func (y yield) cost() float64 { return max(y.used, process.Tick).Seconds() / y.count() }

func (o *overloading) turn(ctx context.Context) error {
	alone, err := o.read(ctx)
	if err != nil {
		return err
	}
	full, err := o.beside(ctx, o.pace, &tally{}, &latencies{})
	if err != nil {
		return err
	}
	flooded, err := o.beside(ctx, o.pace/3, o.cold, &o.refused)
	if err != nil {
		return err
	}
	o.hits.merge(flooded.hits)
	o.full = append(o.full, flooded.count()/full.count())
	o.alone = append(o.alone, flooded.count()/alone.count())
	o.cheap = append(o.cheap, alone.cost()/flooded.cost())
	return nil
}

// read lets the readers read for one phase.
func (o *overloading) read(ctx context.Context) (y yield, err error) {
	before, err := o.fleet.used()
	if err != nil {
		return y, err
	}
	if err := o.readers.readFor(ctx, o.overloaded, o.paths); err != nil {
		return y, err
	}
	after, err := o.fleet.used()
	return yield{o.readers.total(), after - before}, err
}

// beside lets them read while a cold record is asked for at each pace.
func (o *overloading) beside(ctx context.Context, pace time.Duration, cold *tally, refused *latencies) (y yield, err error) {
	flood, err := o.fleet.gatherOn(o.on, overloadFlood, o.seed+1) // anew: who says nothing for long is cut off
	if err != nil {
		return y, err
	}
	defer flood.close()
	stop := flood.askCold(ctx, pace, o.next)
	y, err = o.read(ctx)
	times, floodErr := stop()
	refused.merge(times)
	cold.merge(flood.total())
	return y, errors.Join(err, floodErr)
}

func (o *overloading) report() {
	full, alone, cheap := figure.SpreadOf(o.full), figure.SpreadOf(o.alone), figure.SpreadOf(o.cheap)
	o.figure(fmt.Sprintf("%d of the instances", o.on), "%d cold records asked for in %v, a query takes %v, %d at a time", o.cold.times.n, overloadTurns*o.overloaded, overloadQuery, o.on*overloadCap)
	o.tiers(o.cold)
	o.times("refused", &o.refused)
	o.figure("hits", "%d under the flood; of those with as much as can be loaded %s", o.hits.times.n, shares(full))
	if o.on == 1 {
		o.bound(alone.AtLeast(o.kept) != figure.Missed, "hits keep %s of their throughput", shares(alone))
	} else {
		o.figure("", "hits keep %s of their throughput", shares(alone))
	}
	o.figure("", "hits keep %s of their throughput for the same processor time of Hearth", shares(cheap))
	o.bound(o.hits.ok[memory] == o.hits.times.n, "every hit is answered from memory: %d of %d", o.hits.ok[memory], o.hits.times.n)
	o.bound(o.cold.refused > 0 && o.cold.failed == 0, "what is too much is refused with Retry-After: %d, other failures %d", o.cold.refused, o.cold.failed)
	o.bound(o.shedWithin == 0 || o.refused.quantile(0.99) < o.shedWithin, "it is refused at once: 99 %% within %v", brief(o.refused.quantile(0.99)))
}

func shares(s figure.Spread) string {
	return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*s.Median, 100*s.Min, 100*s.Max)
}

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
func (all crowd) askCold(ctx context.Context, pace time.Duration, next *int64) (stop func() (*latencies, error)) {
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
				due := began.Add(time.Duration(id-*next) * pace)
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

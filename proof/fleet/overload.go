package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
)

const (
	overloadQuery   = 50 * time.Millisecond
	overloadCap     = 4   // load.max_concurrent: with the query, what an instance can load is 80 a second
	overloadFlood   = 100 // clients of each instance that ask for cold records
	overloadReaders = 16  // clients, over all instances asked, that read what is in memory as fast as they can
	overloadKeys    = 40
)

// overload offers an instance three times what it can load, while others read
// records that are in memory. Then the same with all instances.
//
// Everything shares the processors, so hits also lose what Redis, the database and
// the clients of the flood take; with all instances four times as much of it, on the
// same two processors, which is why only the first is judged. What Hearth itself
// takes from them is told by its processor time: all of it, loads and refusals
// included, for each hit. A phase with as much as can be loaded tells what is due to
// the work and what to the overload.
func overload(t *trial) {
	s := normal()
	s.Query, s.MaxConcurrent = overloadQuery, overloadCap
	f := t.assemble(s)
	var latest atomic.Int64
	latest.Store(overloadKeys)
	for _, on := range []int{1, instances} {
		o := &overloading{
			trial: t, asked: f[:on], fleet: f, latest: &latest, paths: rowPaths(overloadKeys),
			readers: t.connect(f[:on], overloadReaders/on, t.seed), pace: overloadQuery / time.Duration(on*overloadCap),
		}
		o.readers.Warm(t, o.paths)
		for range t.repeats { // of all phases, for the machine has other moods, too
			o.playPhases()
		}
		o.report()
	}
	w := t.observer.work()
	t.Bound(w.peak <= instances*overloadCap, "never more than %d queries at a time: %d", instances*overloadCap, w.peak)
}

// overloading is the scenario under way.
type overloading struct {
	*trial
	asked, fleet fleet // the instances that are asked, and all
	readers      load.Clients
	paths        []string
	latest       *atomic.Int64 // the last cold record that was asked for
	pace         time.Duration // between two cold requests: as many as can be loaded

	// What part of their throughput hits keep, of each time: of what they have beside as
	// much as can be loaded, of what they have alone, and for the same processor time.
	full, alone, cheap []float64
	cold               load.Counts // of the flood
	hits               load.Counts // beside it
}

// throughput is what readers got in one phase.
type throughput struct {
	hits *load.Counts
	used time.Duration // processor time of all instances
}

// count is at least 1: it is divided by.
func (p throughput) count() float64 { return float64(max(1, p.hits.Times.N)) }

// cost is the processor time of a hit, with all else that was done meanwhile.
func (p throughput) cost() float64 { return max(p.used, testkit.Tick).Seconds() / p.count() }

// playPhases plays them one after the other, so that what disturbs the machine for a
// while disturbs all that is compared.
func (o *overloading) playPhases() {
	alone := o.read()
	full := o.beside(o.pace, &load.Counts{})
	flooded := o.beside(o.pace/3, &o.cold)
	o.hits.Merge(flooded.hits)
	o.full = append(o.full, flooded.count()/full.count())
	o.alone = append(o.alone, flooded.count()/alone.count())
	o.cheap = append(o.cheap, alone.cost()/flooded.cost())
}

// read lets the readers read for one phase.
func (o *overloading) read() throughput {
	before := o.fleet.used(o.trial)
	o.readFor(o.readers, o.overloaded, o.paths)
	return throughput{o.readers.Total(), o.fleet.used(o.trial) - before}
}

// beside lets them read while a cold record is asked for at each pace.
func (o *overloading) beside(pace time.Duration, cold *load.Counts) throughput {
	flood := o.connect(o.asked, overloadFlood, o.seed+1) // anew: who says nothing for long is cut off
	defer flood.Close()
	end := o.askCold(flood, pace)
	got := o.read()
	end()
	cold.Merge(flood.Total())
	return got
}

// askCold lets the flood ask for one cold record after another, evenly, whichever of its
// clients is free, until the function that it returns is called.
func (o *overloading) askCold(flood load.Clients, pace time.Duration) (end func()) {
	began, first := time.Now(), o.latest.Load()
	return flood.Begin(o, func(ctx context.Context, c *load.Client) error {
		for ctx.Err() == nil {
			id := o.latest.Add(1)
			due := began.Add(time.Duration(id-first) * pace)
			if wait := time.Until(due); wait > 0 && !testkit.Sleep(ctx, wait) {
				return nil
			}
			if err := c.Ask("/row/" + strconv.FormatInt(id, 10)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (o *overloading) report() {
	full, alone, cheap := report.SpreadOf(o.full), report.SpreadOf(o.alone), report.SpreadOf(o.cheap)
	on := len(o.asked)
	o.Figure(fmt.Sprintf("%d of the instances", on), "%d cold records asked for in %v, a query takes %v, %d at a time", o.cold.Times.N, time.Duration(o.repeats)*o.overloaded, overloadQuery, on*overloadCap)
	o.answers(&o.cold)
	o.Times("refused", &o.cold.Refused)
	o.Figure("hits", "%d under the flood; of those with as much as can be loaded %s", o.hits.Times.N, shares(full))
	if on == 1 {
		o.Bound(alone.AtLeast(o.kept) != report.Missed, "hits keep %s of their throughput", shares(alone))
	} else {
		o.Figure("", "hits keep %s of their throughput", shares(alone))
	}
	o.Figure("", "hits keep %s of their throughput for the same processor time of Hearth", shares(cheap))
	o.Bound(o.hits.OK[load.Memory] == o.hits.Times.N, "every hit is answered from memory: %d of %d", o.hits.OK[load.Memory], o.hits.Times.N)
	o.Bound(o.cold.Refused.N > 0 && o.cold.Failed == 0, "what is too much is refused with Retry-After: %d, other failures %d", o.cold.Refused.N, o.cold.Failed)
	o.Bound(o.shedWithin == 0 || o.cold.Refused.Quantile(0.99) < o.shedWithin, "it is refused at once: 99 %% within %v", report.Brief(o.cold.Refused.Quantile(0.99)))
}

func shares(s report.Spread) string {
	return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*s.Median, 100*s.Min, 100*s.Max)
}

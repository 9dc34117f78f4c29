package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// engine is what stands behind the instances and is troubled. Its methods run on the
// goroutine that owns the servers, but for those of what outside returns.
type engine interface {
	// start starts the servers and says how the instances reach them.
	start(h *harness) setup
	// faults are the kinds of trouble. Each leaves the servers running again, or on
	// the way there by themselves.
	faults() []fault
	// recovered is nil once the servers have come back: from then on the instances
	// have to be whole within a bound.
	recovered() error
	// outside is another program that uses what the instances share, past them; nil:
	// nobody else may.
	outside() outsider
}

// setup is how the instances reach the servers of an engine.
type setup struct {
	instances int
	redis     string // redis.url; "" is the embedded tier
	tables    string // of the configuration, after all others: where rows come from
	foreign   bool   // rows are changed by another program, too, in the source
}

// outsider is another program. It is used by one goroutine at a time.
type outsider interface {
	Set(key, value string) error
	Del(key string) error
	Close()
}

// changer is an outsider that changes rows in the source, where setup says that others
// do so.
type changer interface {
	change(id, version int64)
}

// fault is one kind of them.
type fault struct {
	name   string
	inject func()
}

// engines by name, in the order in which they are played.
var engines = []struct {
	name string
	make func() engine
}{
	{"redis", func() engine { return &redis{} }},
	{"sentinel", func() engine { return &sentinel{} }},
	{"cluster", func() engine { return &cluster{} }},
	{"sqlite", func() engine { return &sqlite{} }},
	{"embedded", func() engine { return &embedded{} }},
	{"postgres", func() engine { return &database{kind: postgres} }},
	{"mariadb", func() engine { return &database{kind: mariadb} }},
	{"origin", func() engine { return &origin{} }},
}

// engineNames are those that -engine takes.
func engineNames() (all []string) {
	for _, e := range engines {
		all = append(all, e.name)
	}
	return all
}

// chosen reads the argument of -engine: names with commas between them, or all.
func chosen(text string) ([]string, error) {
	if text == "all" {
		return engineNames(), nil
	}
	list := strings.Split(text, ",")
	for _, name := range list {
		if !slices.Contains(engineNames(), name) {
			return nil, fmt.Errorf("%q is none of all, %s", name, strings.Join(engineNames(), ", "))
		}
	}
	return list, nil
}

// injector makes faults happen, one at a time: every kind once, in random order, then
// all of them again. It is the one that starts and ends servers, so it runs on their
// owner's goroutine.
type injector struct {
	*harness
	rand *rand.Rand
}

// run makes faults until ctx ends. Each makes one round, at the end of which the
// instances are whole, or are found not to be.
func (i *injector) run(ctx context.Context) error {
	all := i.engine.faults()
	for {
		for _, at := range i.rand.Perm(len(all)) {
			if !testkit.Sleep(ctx, i.calm/2+time.Duration(i.rand.Int64N(int64(i.calm)+1))) {
				return nil
			}
			all[at].inject()
			if err := i.recover(ctx, all[at].name); err != nil {
				return err
			}
		}
	}
}

// between is a random time between so many milliseconds, short ones preferred.
func (h *harness) between(least, most int) time.Duration {
	x := h.dice.Float64()
	return time.Duration((float64(least) + x*x*float64(most-least)) / h.haste * float64(time.Millisecond))
}

// pause is a wait of a fault, so long as it lasts.
func (h *harness) pause(least, most int) { testkit.Sleep(h.tb.Context(), h.between(least, most)) }

// freeze stops a process for a while: its connections stay open, nothing is answered.
func (h *harness) freeze(p *testkit.Process, least, most int) {
	p.Pause()
	h.pause(least, most)
	p.Resume()
}

// freezeInstance stops an instance while keys change. When it wakes, what it
// remembers is as old as the stop was long.
func (h *harness) freezeInstance(instance int) func() {
	return func() { h.freeze(h.hearths[instance].Process(), 100, int(h.plan.freeze.Milliseconds())) }
}

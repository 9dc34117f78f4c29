package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// injector makes faults happen, one at a time: in each round every kind once, in random
// order. It is the one that starts and ends servers, so it runs on their owner's
// goroutine.
type injector struct {
	*harness
	rand *rand.Rand
}

// fault is one kind of them. It leaves everything running again.
type fault struct {
	name   string
	inject func(i *injector)
}

var faults = []fault{
	{"connections of hearth killed", (*injector).killConnections},
	{"all connections to redis killed", func(i *injector) { i.redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }},
	{"redis asleep", func(i *injector) {
		i.redis.Do("DEBUG", "SLEEP", fmt.Sprintf("%.2f", i.between(50, 1000).Seconds()))
	}},
	{"redis frozen", func(i *injector) { stop(i.redis.Process, i.between(100, 3000)) }},
	{"redis emptied", (*injector).flush},
	{"redis killed, back empty", (*injector).restartEmpty},
	{"redis killed, back with old data", (*injector).restartOld},
	{"instance 1 frozen", func(i *injector) { i.stopInstance(0) }},
	{"instance 2 frozen", func(i *injector) { i.stopInstance(1) }},
}

func (i *injector) run(ctx context.Context) {
	for {
		for _, at := range i.rand.Perm(len(faults)) {
			if !testkit.Sleep(ctx, i.calm/2+time.Duration(i.rand.Int64N(int64(i.calm)+1))) {
				return
			}
			faults[at].inject(i)
			i.faults[faults[at].name]++
		}
		i.rounds.Add(1)
	}
}

// between is a random time between so many milliseconds, short ones preferred.
func (i *injector) between(least, most int) time.Duration {
	x := i.rand.Float64()
	return time.Duration((float64(least) + x*x*float64(most-least)) * float64(time.Millisecond))
}

// stop stops a process for a while: its connections stay open, nothing is answered.
func stop(p *testkit.Process, d time.Duration) {
	p.Pause()
	time.Sleep(d)
	p.Resume()
}

// stopInstance stops an instance while keys change. When it wakes, what it
// remembers is as old as the stop was long.
func (i *injector) stopInstance(instance int) {
	stop(i.hearths[instance].Process(), i.between(100, int(i.freeze.Milliseconds())))
}

// killConnections cuts the instances off, and nobody else.
func (i *injector) killConnections() {
	for line := range strings.Lines(i.redis.Text("CLIENT", "LIST", "TYPE", "normal")) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.Contains(line, " name=hearth ") {
			continue
		}
		// One that has gone meanwhile is an error, and as good as killed.
		_, _ = i.redis.Try("CLIENT", "KILL", "ID", strings.TrimPrefix(fields[0], "id="))
	}
}

func (i *injector) flush() {
	i.records.wiping()
	defer i.records.wiped()
	i.redis.Do("FLUSHALL")
}

func (i *injector) restartEmpty() {
	i.records.wiping()
	defer i.records.wiped()
	i.redis.Kill()
	time.Sleep(i.between(0, 2500))
	i.redis.StartEmpty()
}

// restartOld brings back what Redis held a while ago. It has then lost writes
// that it had acknowledged, and nothing above it can know: every key is given
// up before.
func (i *injector) restartOld() {
	i.redis.Do("SAVE")
	time.Sleep(i.between(100, 1000))
	i.writing.Lock()
	defer i.writing.Unlock()
	i.records.giveUpAll()
	i.redis.Kill()
	time.Sleep(i.between(0, 1500))
	i.redis.Start()
}

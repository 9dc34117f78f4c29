package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hearth/bench/resp"
)

// forever is the time of what has not ended.
const forever = math.MaxInt64

// tormentor makes faults happen, one at a time: in each round every kind
// once, in random order.
type tormentor struct {
	fleet  *fleet
	book   *book
	report *report
	rand   *rand.Rand
	calm   time.Duration
	freeze time.Duration // of an instance, at most
}

// fault is one kind of trouble. It leaves everything running again.
type fault struct {
	name  string
	wreak func(t *tormentor) error
}

var faults = []fault{
	{"connections of hearth killed", (*tormentor).killConnections},
	{"all connections to redis killed", func(t *tormentor) error { return t.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }},
	{"redis asleep", func(t *tormentor) error {
		return t.redis("DEBUG", "SLEEP", fmt.Sprintf("%.2f", t.between(50, 1000).Seconds()))
	}},
	{"redis frozen", func(t *tormentor) error { t.fleet.redis.proc.Freeze(t.between(100, 3000)); return nil }},
	{"redis emptied", (*tormentor).flush},
	{"redis killed, back empty", (*tormentor).restartEmpty},
	{"redis killed, back with old data", (*tormentor).restartOld},
	{"instance 1 frozen", func(t *tormentor) error { return t.freezeInstance(0) }},
	{"instance 2 frozen", func(t *tormentor) error { return t.freezeInstance(1) }},
}

func (t *tormentor) run(ctx context.Context) error {
	for {
		for _, i := range t.rand.Perm(len(faults)) {
			if !pause(ctx, t.calm/2+time.Duration(t.rand.Int64N(int64(t.calm)+1))) {
				return nil
			}
			if err := faults[i].wreak(t); err != nil {
				return fmt.Errorf("making trouble (%s): %w", faults[i].name, err)
			}
			t.report.fault(faults[i].name)
		}
		t.report.rounds.Add(1)
	}
}

// between is a random time between so many milliseconds, short ones preferred.
func (t *tormentor) between(least, most int) time.Duration {
	x := t.rand.Float64()
	return time.Duration((float64(least) + x*x*float64(most-least)) * float64(time.Millisecond))
}

// freezeInstance stops an instance while keys change. When it wakes, what it
// remembers is as old as the stop was long.
func (t *tormentor) freezeInstance(i int) error {
	t.fleet.hearths[i].proc.Freeze(t.between(100, int(t.freeze.Milliseconds())))
	return nil
}

func (t *tormentor) redis(args ...string) error {
	_, err := t.ask(args...)
	return err
}

func (t *tormentor) ask(args ...string) (string, error) {
	c, err := resp.Dial(t.fleet.redis.addr, answerWithin)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.Do(args...)
}

// killConnections cuts the instances off, and nobody else.
func (t *tormentor) killConnections() error {
	list, err := t.ask("CLIENT", "LIST", "TYPE", "normal")
	if err != nil {
		return err
	}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.Contains(line, " name=hearth ") {
			continue
		}
		// One that has gone meanwhile is an error, and as good as killed.
		_ = t.redis("CLIENT", "KILL", "ID", strings.TrimPrefix(fields[0], "id="))
	}
	return nil
}

func (t *tormentor) flush() error {
	t.book.wiping()
	defer t.book.wiped()
	return t.redis("FLUSHALL")
}

func (t *tormentor) restartEmpty() error {
	t.book.wiping()
	defer t.book.wiped()
	if err := t.fleet.redis.proc.Kill(); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(t.fleet.dir, "dump.rdb")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	time.Sleep(t.between(0, 2500))
	return t.fleet.startRedis()
}

// restartOld brings back what Redis held a while ago. It has then lost writes
// that it had acknowledged, and nothing above it can know: every key is given
// up before.
func (t *tormentor) restartOld() error {
	if err := t.redis("SAVE"); err != nil {
		return err
	}
	time.Sleep(t.between(100, 1000))
	t.fleet.gate.Lock()
	defer t.fleet.gate.Unlock()
	t.book.giveUpAll()
	if err := t.fleet.redis.proc.Kill(); err != nil {
		return err
	}
	time.Sleep(t.between(0, 1500))
	return t.fleet.startRedis()
}

package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/testkit"
)

func now() time.Time { return time.Now() }

// modelSeed is HEARTH_SEED, or a new one; it is printed with a failure.
func modelSeed(t *testing.T) uint64 {
	seed := rand.Uint64()
	if text := os.Getenv("HEARTH_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HEARTH_SEED = %q is no number", text)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to play the same operations again: HEARTH_SEED=%d", seed)
		}
	})
	return seed
}

// TestModel plays random operations, own and foreign, against one and several
// instances while readers read all the time, and compares at rest. The seed
// fixes the operations of each player; how they interleave it cannot fix.
func TestModel(t *testing.T) {
	t.Parallel()
	for _, caches := range []int{1, 2} {
		t.Run(fmt.Sprint("instances", caches), func(t *testing.T) {
			lasts, steps := 2*time.Second, 60
			if testkit.Long() {
				lasts, steps = 3*time.Minute, 200
			}
			seed := modelSeed(t)
			w := newWorld(t, caches, 16)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			stopReading := w.startReaders(ctx, seed)
			rounds := uint64(0)
			for end := now().Add(lasts); now().Before(end) && !w.failed.Load(); rounds++ {
				w.play(ctx, seed+rounds*1000, steps)
				w.compare()
			}
			stopReading()
			t.Logf("%d rounds, %d reads", rounds, w.reads.Load())
		})
	}
}

// startReaders reads without pause on all instances until the function that it
// returns is called.
func (w *world) startReaders(ctx context.Context, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for n := range 2 * len(w.caches) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(100+n)))
			for ctx.Err() == nil {
				w.gate.RLock()
				deadline, cancel := context.WithTimeout(ctx, 5*time.Second)
				w.read(deadline, rng, n%len(w.caches))
				cancel()
				w.gate.RUnlock()
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// play lets three players make their moves.
func (w *world) play(ctx context.Context, seed uint64, steps int) {
	var all sync.WaitGroup
	for n := range uint64(3) {
		foreign := w.srv.AdminConn()
		all.Go(func() {
			defer foreign.Close()
			p := player{world: w, rng: rand.New(rand.NewPCG(seed, n)), foreign: foreign}
			for range steps {
				p.move(ctx)
			}
		})
	}
	all.Wait()
}

// player makes one random move after the other.
type player struct {
	*world
	rng     *rand.Rand
	foreign *testkit.RedisConn
}

func (p *player) move(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	k, i := p.keys[p.rng.IntN(len(p.keys))], p.rng.IntN(len(p.caches))
	switch n := p.rng.IntN(100); {
	case n < 2:
		p.flush(ctx)
	case n < 4:
		_, _ = p.foreign.Try("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		p.foreign.Close() // others' may have been cut
		p.foreign = p.srv.AdminConn()
	case n < 6:
		k.invalidate(ctx, i)
	case n < 60 && k.res == p.kept:
		k.write(ctx, p.rng, i)
	case n < 45:
		k.store(ctx, i)
	default:
		k.meddle(ctx, p.rng, &p.foreign)
	}
}

// flush empties Redis. It takes the turns of all keys that live nowhere else,
// so that it has a place among their writes.
func (p *player) flush(ctx context.Context) {
	for _, k := range p.keys {
		if k.res != p.bare {
			continue
		}
		if k.lock(ctx) != nil {
			return
		}
		defer k.unlock()
		raise(&k.vanished, p.version.Add(1))
	}
	_, _ = p.foreign.Try("FLUSHALL")
}

// write changes a record that has a source, through instance i.
func (k *modelKey) write(ctx context.Context, rng *rand.Rand, i int) {
	c := k.world.caches[i]
	if rng.IntN(5) == 0 {
		before := k.acked.Load()
		if c.Delete(ctx, k.res, k.key, k.args) == nil {
			k.acknowledged(i, before+1) // it came after every write acknowledged before
		}
		return
	}
	if a, err := c.Put(ctx, k.res, k.key, k.args, jsonvalue.Node{Value: []byte("{}")}); err == nil {
		k.acknowledged(i, versionOf(a.Data()))
	}
}

// store writes a record that lives in Redis only, through instance i.
func (k *modelKey) store(ctx context.Context, i int) {
	if k.lock(ctx) != nil {
		return
	}
	defer k.unlock()
	v := k.world.version.Add(1)
	if k.world.caches[i].Store(ctx, []Item{{Key: k.key, Value: []byte(modelValue(v, "store"))}}, 0) == nil {
		k.acknowledged(i, v)
	}
}

// invalidate removes the key from Redis through instance i.
func (k *modelKey) invalidate(ctx context.Context, i int) {
	if k.lock(ctx) != nil {
		return
	}
	defer k.unlock()
	v := k.world.version.Add(1)
	if k.res == k.world.bare {
		raise(&k.vanished, v)
	}
	if k.world.caches[i].Invalidate(ctx, []string{k.key}) == nil && k.res == k.world.bare {
		k.acknowledged(i, v)
	}
}

// meddle is what a foreign program does to the key.
func (k *modelKey) meddle(ctx context.Context, rng *rand.Rand, conn **testkit.RedisConn) {
	if k.lock(ctx) != nil {
		return
	}
	defer k.unlock()
	v := k.world.version.Add(1)
	var cmd []string
	switch n := rng.IntN(10); {
	case n < 5:
		cmd = []string{"SET", k.key, modelValue(v, "foreign")}
	case n < 7:
		cmd = []string{"DEL", k.key}
	case n < 8:
		cmd = []string{"EXPIRE", k.key, "1"}
	default:
		cmd = []string{"PEXPIRE", k.key, strconv.Itoa(1 + rng.IntN(30))}
	}
	if cmd[0] != "SET" && k.res == k.world.bare {
		raise(&k.vanished, v)
	}
	if _, err := (*conn).Try(cmd...); err != nil { // cut by another player
		(*conn).Close()
		*conn = k.world.srv.AdminConn()
	} else if cmd[0] == "SET" {
		k.foreign.Store(v)
	}
}

// compare waits until nothing is under way any more and checks that each copy
// in memory is what Redis holds, and that Redis holds what it may.
func (w *world) compare() {
	w.t.Helper()
	w.gate.Lock()
	defer w.gate.Unlock()
	for i, c := range w.caches {
		testkit.Eventually(w.t, patience, "all writes are confirmed", func() bool { return c.Up() == nil && c.Stats().Unconfirmed == 0 })
		c.running.Wait()
		w.awaitMarker(i)
	}
	for _, k := range w.keys {
		k.compareRedis()
		for i := range w.caches {
			k.compareMemory(i)
		}
	}
}

// awaitMarker returns when instance i has applied every change that was made
// before: a change of a marker that it has in memory arrives behind them.
func (w *world) awaitMarker(i int) {
	w.t.Helper()
	c, key := w.caches[i], fmt.Sprint("bare:marker", i)
	ctx := within(w.t)
	testkit.Eventually(w.t, patience, "the marker is in memory", func() bool {
		_, _ = c.Read(ctx, w.bare, key, nil)
		e, _ := c.Hit(w.bare, []byte(key), now())
		return e != nil
	})
	w.srv.Do("SET", key, modelValue(w.version.Add(1), "marker"))
	testkit.Eventually(w.t, patience, "the marker is gone from memory", func() bool {
		e, _ := c.Hit(w.bare, []byte(key), now())
		return e == nil
	})
}

// compareRedis checks what Redis holds for a record with a source: nothing, a
// placeholder, the record, or what a foreign program put there last, and in
// no case anything older than an acknowledged write (C5).
func (k *modelKey) compareRedis() {
	if k.res != k.world.kept {
		return
	}
	text := k.world.srv.Text("GET", k.key)
	r := shared.Parse([]byte(text), 0)
	if text == "" || r.IsPlaceholder() {
		return
	}
	row := "null"
	if p := k.row.Load(); p != nil {
		row = *p
	}
	foreign, v := k.foreign.Load(), versionOf(r.Data)
	if text == row || text == modelValue(v, "foreign") && v >= foreign && v > k.acked.Load() {
		return // later than the last one known: it took effect and its answer was cut off
	}
	k.world.fail("%s: Redis holds %s; the source has %s, a foreign program set version %d last, version %d was acknowledged", k.key, text, row, foreign, k.acked.Load())
}

// compareMemory checks a copy that instance i would serve as fresh, and from
// now on demands of it what is known everywhere.
func (k *modelKey) compareMemory(i int) {
	c := k.world.caches[i]
	e, _ := c.Hit(k.res, []byte(k.key), now())
	text := k.world.srv.Text("GET", k.key)
	if e != nil {
		same := text == string(e.Data()) || text == "" && e.Missing() && k.res == k.world.bare
		// It may have expired between the two looks: then it is not served any more.
		if later, _ := c.Hit(k.res, []byte(k.key), now()); !same && later != nil && string(later.Data()) == string(e.Data()) {
			k.world.fail("%s: instance %d has %s in memory, Redis holds %q", k.key, i, e.Data(), text)
		}
	}
	raise(&k.floors[i], k.acked.Load())
	if k.res == k.world.bare {
		raise(&k.floors[i], versionOf([]byte(text)))
	}
}

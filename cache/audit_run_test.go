package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/audit"
	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// audience reads and writes a few keys, in all ways, while what memory answers is audited as
// fast as that goes.
type audience struct {
	*bench
	ids    int
	writes [4]atomic.Int64
}

// run goes on until ctx ends, and what is left has been decided.
func (w *audience) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() {
		for rnd := rand.New(rand.NewPCG(5, 16)); ctx.Err() == nil; w.audit.judge() {
			var picks []audit.Pick
			for range 8 {
				if p, ok := w.picked(strconv.Itoa(rnd.IntN(w.ids))); ok {
					picks = append(picks, p)
				}
			}
			w.audit.compare(picks)
		}
		w.judged()
	})
	for i := range uint64(4) {
		all.Go(func() { w.loop(ctx, i, w.read) })
		all.Go(func() { w.loop(ctx, 10+i, w.write) })
	}
	all.Wait()
}

func (w *audience) loop(ctx context.Context, seed uint64, do func(context.Context, *rand.Rand, string)) {
	for rnd := rand.New(rand.NewPCG(seed, 16)); ctx.Err() == nil; {
		do(ctx, rnd, strconv.Itoa(rnd.IntN(w.ids)))
	}
}

// read reads until memory has the record.
func (w *audience) read(ctx context.Context, _ *rand.Rand, id string) {
	_, _ = w.readWithin(ctx, id) // its time may be over
}

// offer has a record audited that memory answers, by the cache's own auditor.
func (w *audience) offer(key string) bool {
	defer w.Pin(0).Release()
	v, _ := w.Look(w.r, []byte(key), time.Now())
	if !v.Found() {
		return false
	}
	trace := w.store.Trace(v, w.store.Now())
	w.auditor.offer(&memory.Sample{Key: []byte(key), Shape: w.r.Shape, ETag: trace.ETag, Epoch: trace.Epoch, At: w.store.Now(), For: 1})
	return true
}

// write changes a record: by Hearth, past it and told by a feed, or in the shared tier alone.
// There are few values, so that one comes back again and again.
func (w *audience) write(ctx context.Context, rnd *rand.Rand, id string) {
	key, row, way := w.key(id), fmt.Sprintf(`{"v":%d}`, rnd.IntN(3)), rnd.IntN(len(w.writes))
	var err error
	switch way {
	case 0:
		_, err = w.Put(ctx, w.r, key, source.Args{id}, jsonvalue.Node{Value: []byte(row)})
	case 1:
		w.book.write(id, row)
		err = w.Outdate(ctx, []shared.Outdated{{Key: key}})
	case 2:
		err = w.Invalidate(ctx, []string{key})
	case 3: // items are for keys without a source; here one stands for another program
		short, cancel := context.WithCancel(ctx)
		defer cancel()
		if rnd.IntN(2) == 0 { // given up in the middle, now and then
			time.AfterFunc(time.Duration(rnd.IntN(4000))*time.Microsecond, cancel)
		}
		if w.Store(short, []Item{{Key: key, Value: []byte(row)}}, time.Minute) != nil {
			return
		}
	}
	if err == nil {
		w.writes[way].Add(1)
	}
}

// audienceTime is how long an audience stays.
func audienceTime() time.Duration {
	if os.Getenv("HEARTH_LONG") != "" {
		return time.Minute
	}
	return 600 * time.Millisecond
}

// TestAuditOfAnAudience: nothing is lost, so whatever is on its way there is nothing to find.
func TestAuditOfAnAudience(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		var log journal
		w := &audience{bench: newBench(t, open(t, log.use, quickLink), newLedger()), ids: 200}
		ctx, cancel := context.WithTimeout(t.Context(), audienceTime())
		defer cancel()
		w.run(ctx)
		ended := func(r audit.Result) int64 { return w.audit.tally.Checks(audit.Memory, r) }
		if n := ended(audit.Stale); n != 0 {
			t.Errorf("%d copies were called stale: %s", n, log.String())
		}
		if ended(audit.OK) == 0 {
			t.Error("nothing was compared, so this proves nothing")
		}
		for way := range w.writes {
			if w.writes[way].Load() == 0 {
				t.Errorf("nothing was written in way %d", way)
			}
		}
		t.Logf("%d agreed, %d were in flight, %d undecided", ended(audit.OK), ended(audit.InFlight), ended(audit.Undecided))
	})
}

// TestAuditOfADeafAudience: the reports of some keys get lost all the time. Each copy that is
// found stale is one of theirs, and in the end memory has none that is.
func TestAuditOfADeafAudience(t *testing.T) {
	isDeaf := func(key string) bool { return strings.HasSuffix(key, ":1") || strings.HasSuffix(key, ":3") }
	var mu sync.Mutex
	found := map[string]int{}
	srv := testkit.Redis(t)
	c := openRedis(t, srv, func(c *setup) {
		c.LinkTimeout, c.Audit.Rate = 800*time.Millisecond, 5000
		c.hears = func(key string) bool { return !isDeaf(key) }
		c.OnAudit = func(d Disagreement) {
			mu.Lock()
			defer mu.Unlock()
			found[d.Key]++
		}
	})
	w := &audience{bench: newBench(t, c, newLedger()), ids: 50}
	ctx, cancel := context.WithTimeout(t.Context(), audienceTime())
	defer cancel()
	w.run(ctx)
	for _, id := range []string{"1", "3"} { // whatever came of them before
		key := w.key(id)
		srv.Do("SET", key, `{"v":8}`)
		testkit.Eventually(t, patience, "the copy of "+id+" is the new one", func() bool {
			if !w.offer(key) {
				_, _ = w.readWithin(within(t), id)
			}
			return w.memory(id) == `{"v":8}`
		})
		srv.Do("SET", key, `{"v":9}`)
		testkit.Eventually(t, patience, "the copy of "+id+" is the newest", func() bool {
			if !w.offer(key) {
				_, _ = w.readWithin(within(t), id)
			}
			return w.memory(id) == `{"v":9}`
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for key, n := range found {
		if !isDeaf(key) {
			t.Errorf("%s was called stale %d times, and its changes were reported", key, n)
		}
	}
	if len(found) != 2 {
		t.Errorf("found %v, want both that were not heard of", found)
	}
}

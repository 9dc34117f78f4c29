package cache

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// crowded notes how many loads are at work at a time.
type crowded struct{ now, most atomic.Int64 }

func (c *crowded) load(context.Context, string) error {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for was := c.most.Load(); n > was && !c.most.CompareAndSwap(was, n); was = c.most.Load() {
	}
	return nil
}

// TestManyLongLivedCopiesAreNoHerd: their moments are spread over the window, and at its
// end no more loads are at work than the gate lets in.
func TestManyLongLivedCopiesAreNoHerd(t *testing.T) {
	t.Parallel()
	const places, life = 8, time.Hour
	copies := 3000
	if testkit.Long() {
		copies = 10_000
	}
	book, crowd := newLedger(), &crowded{}
	d := newDesk(t, openFile(t, degradedFor(life), func(c *setup) { c.MaxLoads = places }), book)
	owner := d.store.NewOwner(true)
	for i := range copies {
		f := lead(t, d.flights, d.r, owner, d.key(strconv.Itoa(i)))
		d.flights.Arrived(owner, f.key)
		end(d.flights, f, `"old"`)
	}
	d.lose(life / 2)
	now, parts := d.store.Now(), [10]int{}
	for i := range copies {
		e := d.store.Find(d.r.Shape, []byte(d.key(strconv.Itoa(i))))
		parts[min(max((e.RefreshAt()-now)*10/int64(life/2), 0), 9)]++
		if at := e.RefreshAt() - now; at > int64(life/2) {
			t.Fatalf("a copy is due in %v, beyond the window", time.Duration(at))
		}
	}
	for i, n := range parts {
		if n < copies/10*3/4 || n > copies/10*5/4 {
			t.Errorf("tenth %d of what is left of the window: %d of %d copies are due", i, n, copies)
		}
	}
	l, parts := d.r.lost.Load(), [10]int{}
	for i := range copies { // those that memory does not keep
		n := 0
		for n < 9 && !l.due(d.key(strconv.Itoa(i)), l.noticed+(l.until-l.noticed)*int64(n+1)/10) {
			n++
		}
		parts[n]++
	}
	for i, n := range parts {
		if n < copies/10*3/4 || n > copies/10*5/4 {
			t.Errorf("tenth %d of the window: %d of %d copies that memory does not keep are due", i, n, copies)
		}
	}
	const over = 1000
	for i := range over {
		d.stand(strconv.Itoa(i), `"old"`, time.Hour)
		book.write(strconv.Itoa(i), `"new"`)
	}
	d.lose(2 * life)
	book.loaded = crowd.load
	var all sync.WaitGroup
	readers := make(chan struct{}, 10*places) // more would not find a place to wait in
	for i := range over {
		readers <- struct{}{}
		all.Go(func() {
			defer func() { <-readers }()
			d.wantRead(strconv.Itoa(i), `"new"`, TierSource)
		})
	}
	all.Wait()
	if n := crowd.most.Load(); n > places {
		t.Errorf("%d loads were at work at a time, want at most %d", n, places)
	}
	if n := book.loads.Load(); n != over {
		t.Errorf("%d copies were loaded %d times", over, n)
	}
}

// slowest is a tier that notes how long the way of a record into it was at most.
type slowest struct {
	SharedTier
	since *sync.Map // key → when the latest load began that has not been stored
	most  *atomic.Int64
}

func (s slowest) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	defer s.note(key)
	return s.SharedTier.Fill(ctx, key, token, value, ttl)
}

func (s slowest) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	defer s.note(key)
	return s.SharedTier.Refresh(ctx, key, token, was, expires, value, ttl)
}

func (s slowest) note(key string) {
	began, ok := s.since.Load(key)
	if !ok {
		return
	}
	took := int64(time.Since(began.(time.Time)))
	for was := s.most.Load(); took > was && !s.most.CompareAndSwap(was, took); was = s.most.Load() {
	}
}

// outlook is a world whose feed comes and goes: rows that count upwards, and when each
// count was replaced by the next.
type outlook struct {
	t     *testing.T
	fleet []*desk
	book  *ledger

	mu       sync.Mutex
	replaced map[string][]time.Time // by id: when row n was replaced, at n
	lost     time.Time              // zero: the feed is there

	slack   atomic.Int64
	checked atomic.Int64
}

const outlookLife = 150 * time.Millisecond

// change writes the next row of id. With the feed its copy goes.
func (o *outlook) change(id string) {
	o.mu.Lock()
	n := len(o.replaced[id])
	o.book.write(id, strconv.Itoa(n+1))
	o.replaced[id] = append(o.replaced[id], time.Now())
	lost := !o.lost.IsZero()
	o.mu.Unlock()
	if !lost {
		o.outdate(id)
	}
}

func (o *outlook) outdate(id string) {
	if err := o.fleet[0].Invalidate(within(o.t), []string{o.fleet[0].key(id)}); err != nil {
		o.t.Error(err)
	}
}

// read reads id and tells off what is too old.
func (o *outlook) read(d *desk, id string) {
	began := time.Now()
	o.mu.Lock()
	lost := o.lost
	o.mu.Unlock()
	a, err := d.read(id)
	if err != nil {
		o.t.Errorf("reading %s: %v", id, err)
		return
	}
	n, _ := strconv.Atoi(string(a.Data()))
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost.IsZero() || !lost.Equal(o.lost) || a.Detail != "" || n >= len(o.replaced[id]) {
		return
	}
	o.checked.Add(1)
	from := o.replaced[id][n]
	if from.Before(lost) {
		from = lost
	}
	if old := began.Sub(from); old > outlookLife+time.Duration(o.slack.Load()) {
		o.t.Errorf("%s: %s from %v is out of date for %v, %v after the loss", id, a.Data(), a.Tier, old, began.Sub(lost))
	}
}

// TestNoAnswerIsOlderThanTheWindow reads at random while rows change and the feed comes
// and goes: unmarked answers are at most as old as the loss allows, and one load.
func TestNoAnswerIsOlderThanTheWindow(t *testing.T) {
	t.Parallel()
	srv := testkit.Redis(t)
	o := &outlook{t: t, book: newLedger(), replaced: map[string][]time.Time{}}
	var loading sync.Map
	lives := Lifetimes{Cold: 2 * outlookLife, Hot: time.Hour, Missing: time.Hour, Stale: time.Hour}
	for range 2 {
		c := openRedis(t, srv, degradedFor(outlookLife), func(c *setup) {
			c.HotRate = 50
			c.around = func(t SharedTier) SharedTier { return slowest{t, &loading, &o.slack} }
		})
		d := newDesk(t, c, o.book)
		d.r = NewResource("user", "user", lives, beginning{o.book, &loading, d})
		o.fleet = append(o.fleet, d)
	}
	const ids = 24
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				o.read(o.fleet[i%2], strconv.Itoa(rand.N(ids)))
			}
		})
	}
	all.Go(func() {
		for ctx.Err() == nil {
			o.change(strconv.Itoa(rand.N(ids)))
			<-time.After(5 * time.Millisecond)
		}
	})
	for range 2 {
		<-time.After(outlookLife)
		o.read(o.fleet[0], "rare") // and then not before its end is near
		o.mu.Lock()
		o.lost = time.Now()
		o.mu.Unlock()
		for _, d := range o.fleet {
			d.Degrade(d.r, o.lost)
		}
		o.change("rare")
		<-time.After(outlookLife * 3 / 2)
		for _, d := range o.fleet {
			o.read(d, "rare")
		}
		<-time.After(2 * outlookLife)
		o.mu.Lock()
		o.lost = time.Time{}
		all := slices.Collect(maps.Keys(o.replaced))
		o.mu.Unlock()
		for _, id := range all {
			o.outdate(id)
		}
		for _, d := range o.fleet {
			d.Restore(d.r)
		}
	}
	stop()
	all.Wait()
	if o.checked.Load() == 0 {
		t.Error("no answer was out of date at all")
	}
}

// beginning is a ledger that notes when each load begins.
type beginning struct {
	*ledger
	since *sync.Map
	d     *desk
}

func (b beginning) Load(ctx context.Context, args source.Args) ([]byte, error) {
	b.since.Store(b.d.key(fmt.Sprint(args...)), time.Now())
	row, err := b.ledger.Load(ctx, args)
	if row == nil && err == nil {
		row = memory.Null
	}
	return row, err
}

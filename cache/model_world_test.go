package cache

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// world is what the model check plays with: a Redis, Caches over it, and keys
// whose values carry versions. Versions of a key grow in the order in which
// its writes take effect, because writers of one key take turns as a
// database's row lock makes them; so "older" is a comparison of numbers.
type world struct {
	t      *testing.T
	srv    *testkit.RedisServer
	caches []*Cache
	bare   *Resource // lives in Redis only
	kept   *Resource // has a source
	keys   []*modelKey

	version atomic.Int64
	gate    sync.RWMutex // readers hold it while they read
	reads   atomic.Int64
	failed  atomic.Bool
}

// modelKey is one key and what has been acknowledged about it.
type modelKey struct {
	world *world
	key   string
	args  source.Args // of kept keys
	res   *Resource

	turn     chan struct{} // held by the one who writes
	row      atomic.Pointer[string]
	foreign  atomic.Int64   // the latest version that a foreign program has set
	acked    atomic.Int64   // the latest version that any instance has acknowledged
	floors   []atomic.Int64 // by Cache: no read that begins now may answer with less
	vanished atomic.Int64   // version of the latest removal that has begun
}

func newWorld(t *testing.T, caches, keys int) *world {
	w := &world{t: t, srv: testkit.Redis(t)}
	for i := range caches {
		c := openRedis(t, w.srv)
		if i%2 == 0 { // memory is full, and takes what it likes
			c.admits = func(string) bool { return rand.IntN(2) == 0 }
		}
		w.caches = append(w.caches, c)
	}
	lives := testLives
	w.bare = NewResource("bare", "bare", lives, nil)
	w.kept = NewResource("kept", "kept", lives, (*modelSource)(w))
	for i := range keys {
		k := &modelKey{world: w, key: fmt.Sprint("bare:", i), res: w.bare, turn: make(chan struct{}, 1), floors: make([]atomic.Int64, caches)}
		if i%2 == 1 {
			k.key, k.args, k.res = fmt.Sprint("kept:", i), source.Args{int64(i)}, w.kept
		}
		w.keys = append(w.keys, k)
	}
	return w
}

// fail reports once what is wrong; more would be consequences.
func (w *world) fail(format string, args ...any) {
	if !w.failed.Swap(true) {
		w.t.Errorf(format, args...)
	}
}

func modelValue(version int64, by string) string {
	return fmt.Sprintf(`{"v":%d,"by":%q}`, version, by)
}

// versionOf is the version in a value, 0 for a missing record.
func versionOf(data []byte) int64 {
	rest, ok := bytes.CutPrefix(data, []byte(`{"v":`))
	if !ok {
		return 0
	}
	number, _, _ := bytes.Cut(rest, []byte(","))
	v, _ := strconv.ParseInt(string(number), 10, 64)
	return v
}

// lock makes the caller the one who writes k.
func (k *modelKey) lock(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *modelKey) unlock() { <-k.turn }

// modelSource is the world as a system of record: rows with locks.
type modelSource world

func (s *modelSource) of(args source.Args) *modelKey { return s.keys[args[0].(int64)] }

// Load takes its time now and then: what it has read may be old when it returns.
func (s *modelSource) Load(ctx context.Context, args source.Args) ([]byte, error) {
	row := s.of(args).row.Load()
	dawdle(ctx)
	if row == nil {
		return nil, source.ErrNoRecord
	}
	return []byte(*row), nil
}

// dawdle is how slow a database is: mostly not at all, sometimes a few
// milliseconds, so that others overtake.
func dawdle(ctx context.Context) {
	if rand.IntN(3) != 0 {
		return
	}
	select {
	case <-time.After(rand.N(5 * time.Millisecond)):
	case <-ctx.Done():
	}
}

func (s *modelSource) Put(ctx context.Context, args source.Args, _ jsonvalue.Node) (source.Change, error) {
	k := s.of(args)
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	row := modelValue(s.version.Add(1), "put")
	return &modelChange{key: k, row: &row}, nil
}

func (s *modelSource) Delete(ctx context.Context, args source.Args) (source.Change, error) {
	k := s.of(args)
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	if k.row.Load() == nil {
		k.unlock()
		return nil, source.ErrNoRecord
	}
	v := s.version.Add(1)
	raise(&k.vanished, v)
	return &modelChange{key: k, deletes: v}, nil
}

type modelChange struct {
	key     *modelKey
	row     *string
	deletes int64
}

func (c *modelChange) Record() []byte {
	if c.row == nil {
		return nil
	}
	return []byte(*c.row)
}

func (c *modelChange) Commit(ctx context.Context) error {
	dawdle(ctx)
	c.key.row.Store(c.row)
	c.key.unlock()
	dawdle(ctx)
	return nil
}

func (c *modelChange) Over(context.Context) (bool, error) { return true, nil }

func (c *modelChange) Rollback() { c.key.unlock() }

// raise lifts n to v, never down.
func raise(n *atomic.Int64, v int64) {
	for was := n.Load(); v > was && !n.CompareAndSwap(was, v); was = n.Load() {
	}
}

// acknowledged notes that instance i has confirmed a write of version v.
func (k *modelKey) acknowledged(i int, v int64) {
	raise(&k.acked, v)
	raise(&k.floors[i], v)
}

// check judges an unmarked answer of instance i by what had been acknowledged
// there before the read began (C2).
func (k *modelKey) check(i int, floor int64, data []byte, how string) {
	switch v := versionOf(data); {
	case v >= floor:
	case v == 0 && k.vanished.Load() >= floor:
	default:
		k.world.fail("%s: %s of instance %d answers %s, although it had acknowledged version %d before (latest removal %d)",
			k.key, how, i, data, floor, k.vanished.Load())
	}
}

// read asks instance i for some keys in one of the ways there are.
func (w *world) read(ctx context.Context, rng *rand.Rand, i int) {
	k := w.keys[rng.IntN(len(w.keys))]
	c := w.caches[i]
	w.reads.Add(1)
	switch rng.IntN(8) {
	case 0, 1:
		w.readMany(ctx, rng, i, k.res)
		return
	case 2:
		w.readFresh(ctx, rng, i, k)
		return
	}
	floor := k.floors[i].Load()
	if e, _ := c.Hit(k.res, []byte(k.key), now()); e != nil {
		k.check(i, floor, e.Data(), "a hit")
		return
	}
	if a, err := c.Read(ctx, k.res, k.key, k.args); err == nil && a.Detail == "" {
		k.check(i, floor, a.Data(), fmt.Sprintf("a read (%v, from the source %v, stored %v)", a.Tier, a.FromDB, a.Stored))
	}
}

func (w *world) readMany(ctx context.Context, rng *rand.Rand, i int, res *Resource) {
	var picked []*modelKey
	var keys []string
	var args []source.Args
	var floors []int64
	for range 5 {
		if k := w.keys[rng.IntN(len(w.keys))]; k.res == res {
			picked, keys, args = append(picked, k), append(keys, k.key), append(args, k.args)
			floors = append(floors, k.floors[i].Load())
		}
	}
	answers, err := w.caches[i].ReadMany(ctx, res, keys, args)
	if err != nil {
		return
	}
	for n, a := range answers {
		if a.Detail == "" {
			picked[n].check(i, floors[n], a.Data(), fmt.Sprintf("a many-read (%v)", a.Tier))
		}
	}
}

// readFresh reads with a demand. By the version of a write that is over, and with no-cache,
// nothing is older than what any instance has acknowledged before, marked or not.
func (w *world) readFresh(ctx context.Context, rng *rand.Rand, i int, k *modelKey) {
	c, floor := w.caches[i], k.acked.Load()
	demand, how := Demand{Aged: true}, "no-cache"
	switch rng.IntN(4) {
	case 0:
		version := c.NewVersion(k.key)
		if rng.IntN(2) == 0 {
			version = c.NewVersion()
		}
		demand, how = Demand{}, "a read with a version"
		demand.Since, _ = c.SinceOf([]byte(version), k.key)
	case 1:
		version := c.NewVersion(k.key)
		demand.Since, _ = c.SinceOf([]byte(version), k.key)
		demand.MaxAge, how = time.Hour, "a read with a version and max-age"
	case 2:
		demand, how, floor = Demand{OnlyIfCached: true, MinFresh: time.Duration(rng.IntN(int(time.Hour)))}, "only-if-cached", k.floors[i].Load()
	}
	a, err := c.ReadFresh(ctx, k.res, k.key, k.args, demand)
	if err != nil || a.Detail != "" && demand.OnlyIfCached {
		return
	}
	k.check(i, floor, a.Data(), fmt.Sprintf("%s (%v, from the source %v, stored %v, %s)", how, a.Tier, a.FromDB, a.Stored, a.Detail))
	if demand.Aged && a.FromDB { // whoever has seen it sees nothing older in memory
		raise(&k.floors[i], min(versionOf(a.Data()), k.acked.Load()))
	}
}

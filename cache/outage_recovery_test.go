package cache

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// crowdSource is a read-only source that counts how many loads of a key run
// at one time.
type crowdSource struct {
	keys []crowdKey
}

type crowdKey struct {
	loads, running, most atomic.Int64
	row                  atomic.Pointer[string]
}

func (s *crowdSource) Put(context.Context, source.Args, jsonvalue.Node) (source.Change, error) {
	return nil, source.ErrReadOnly
}

func (s *crowdSource) Delete(context.Context, source.Args) (source.Change, error) {
	return nil, source.ErrReadOnly
}

func (s *crowdSource) Load(_ context.Context, args source.Args) ([]byte, error) {
	k := &s.keys[args[0].(int)]
	k.loads.Add(1)
	raise(&k.most, k.running.Add(1))
	defer k.running.Add(-1)
	runtime.Gosched() // a herd would come in here
	return []byte(*k.row.Load()), nil
}

// crowd is readers without pause over an outage.
type crowd struct {
	t     *testing.T
	c     *Cache
	view  *crowdSource
	kept  *Resource // with the source
	bare  *Resource // in Redis only
	stop  context.CancelFunc
	ended sync.WaitGroup

	limit atomic.Int64 // Unix ns from which on nothing unmarked may come out of memory; 0: none
	stale atomic.Int64 // answers marked stale
}

const crowdKeys, crowdReaders = 16, 6

func newCrowd(t *testing.T, c *Cache) *crowd {
	w := &crowd{t: t, c: c, view: &crowdSource{keys: make([]crowdKey, crowdKeys)}}
	w.kept = NewResource("kept", "kept", testLives, w.view)
	w.bare = NewResource("bare", "bare", testLives, nil)
	w.rewrite("1")
	return w
}

// rewrite changes all rows where nobody can tell.
func (w *crowd) rewrite(row string) {
	for i := range w.view.keys {
		w.view.keys[i].row.Store(&row)
	}
}

func (w *crowd) keptKey(i int) string { return fmt.Sprint("kept:", i) }
func (w *crowd) bareKey(i int) string { return fmt.Sprint("bare:", i) }

// read looks in memory and then goes the slow way, with a deadline that every
// read must keep: one that does not would hang here until the test's end.
func (w *crowd) read(r *Resource, key string, i int) (Answer, error) {
	asked := time.Now()
	if e, _ := w.c.Hit(r, []byte(key), asked); e != nil {
		w.refuse(asked, key, "a hit")
		return Answer{Entry: e, Tier: TierMemory}, nil
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	a, err := w.c.Read(ctx, r, key, source.Args{i})
	if err == nil && a.Detail == "" && a.Tier == TierMemory {
		w.refuse(asked, key, "a read from memory")
	}
	if err == nil && (a.Tier == TierStale) != (a.Detail == "stale") {
		w.t.Errorf("%s: tier %v, detail %q", key, a.Tier, a.Detail)
	}
	if a.Detail == "stale" {
		w.stale.Add(1)
	}
	return a, err
}

// refuse fails the test when an unmarked answer was asked for after memory
// had to be without proof.
func (w *crowd) refuse(asked time.Time, key, how string) {
	if limit := w.limit.Load(); limit != 0 && asked.UnixNano() > limit {
		w.t.Errorf("%s: %s unmarked, asked %v after memory lost its last proof", key, how, time.Duration(asked.UnixNano()-limit))
	}
}

func (w *crowd) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = func() { cancel(); w.ended.Wait() }
	for n := range crowdReaders {
		w.ended.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				key := i % crowdKeys
				if a, err := w.read(w.kept, w.keptKey(key), key); err != nil {
					w.t.Errorf("%s: %v (%+v), although the source is there", w.keptKey(key), err, a)
				}
				_, _ = w.read(w.bare, w.bareKey(key), key) // may be nowhere
			}
		})
	}
}

// warm fills memory with everything.
func (w *crowd) warm() {
	w.t.Helper()
	testkit.Eventually(w.t, patience, "everything is in memory, unmarked", func() bool {
		all := true
		for i := range crowdKeys {
			a, err := w.read(w.kept, w.keptKey(i), i)
			b, berr := w.read(w.bare, w.bareKey(i), i)
			all = all && err == nil && berr == nil && a.Tier == TierMemory && b.Tier == TierMemory && a.Detail+b.Detail == ""
		}
		return all
	})
}

func (w *crowd) loads() (n int64) {
	for i := range w.view.keys {
		n += w.view.keys[i].loads.Load()
	}
	return n
}

// wantEqual compares memory with Redis; nothing changes any more.
func (w *crowd) wantEqual(srv *testkit.RedisServer) {
	w.t.Helper()
	for i := range crowdKeys {
		for _, k := range []struct {
			r   *Resource
			key string
		}{{w.kept, w.keptKey(i)}, {w.bare, w.bareKey(i)}} {
			want := srv.Text("GET", k.key)
			if want == "" {
				want = "null"
			}
			e, _ := w.c.Hit(k.r, []byte(k.key), time.Now())
			if e == nil || string(e.Data()) != want {
				w.t.Errorf("%s: memory holds %v, Redis %s", k.key, e, want)
			}
		}
	}
}

// outages are the ways in which Redis goes and comes back.
var outages = []struct {
	name    string
	data    string // what Redis has for each bare key afterwards
	loading bool   // kept keys have to be loaded again
	begin   func(srv *testkit.RedisServer, change func())
	end     func(srv *testkit.RedisServer)
}{
	{name: "killed and back empty", data: "null", loading: true,
		begin: func(srv *testkit.RedisServer, change func()) { change(); srv.Kill() },
		end:   (*testkit.RedisServer).StartEmpty},
	{name: "frozen", data: `"changed"`,
		begin: func(srv *testkit.RedisServer, change func()) { change(); srv.Pause() },
		end:   (*testkit.RedisServer).Resume},
	{name: "stopped in good order", data: `"changed"`,
		begin: func(srv *testkit.RedisServer, change func()) { change(); srv.Stop() },
		end:   (*testkit.RedisServer).Start},
	{name: "back with old data", data: `"first"`,
		begin: func(srv *testkit.RedisServer, change func()) { srv.Do("SAVE"); change(); srv.Kill() },
		end:   (*testkit.RedisServer).Start},
}

// TestOutages lets readers meet each kind of outage of Redis, twice.
func TestOutages(t *testing.T) {
	for _, kind := range outages {
		t.Run(kind.name, func(t *testing.T) {
			srv := testkit.Redis(t)
			w := newCrowd(t, openRedis(t, srv, quickLink))
			var goroutines int
			for round := range 2 {
				for i := range crowdKeys {
					srv.Do("SET", w.bareKey(i), `"first"`)
				}
				w.warm()
				if round == 1 {
					goroutines = runtime.NumGoroutine()
				}
				w.start()
				kind.begin(srv, func() {
					for i := range crowdKeys {
						srv.Do("SET", w.bareKey(i), `"changed"`)
					}
				})
				w.limit.Store(time.Now().Add(w.c.cfg.LinkTimeout).UnixNano())
				w.rewrite("2")
				stale := w.stale.Load()
				waitDown(t, w.c)
				testkit.Eventually(t, patience, "copies are served marked", func() bool { return w.stale.Load() > stale+crowdKeys })
				before := w.loads()
				w.limit.Store(0)
				kind.end(srv)
				waitUp(t, w.c)
				w.warm()
				w.stop()
				w.wantRecovery(kind.loading, before)
				w.wantEqual(srv)
				for i := range crowdKeys {
					if e, _ := w.c.Hit(w.bare, []byte(w.bareKey(i)), time.Now()); e == nil || string(e.Data()) != kind.data {
						t.Errorf("%s: memory holds %v, want %s", w.bareKey(i), e, kind.data)
					}
				}
				w.rewrite("1")
			}
			testkit.Eventually(t, patience, "goroutines are back to where they were", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
		})
	}
}

// wantRecovery: a key is loaded once under its lease when Redis has lost it,
// and perhaps once past it while Redis was away; never by two at a time of
// either kind.
func (w *crowd) wantRecovery(loading bool, before int64) {
	w.t.Helper()
	loads, most := w.loads()-before, int64(0)
	if loading {
		most = 2 * crowdKeys
	}
	if loads > most {
		w.t.Errorf("%d loads for %d keys during the recovery, want at most %d", loads, crowdKeys, most)
	}
	for i := range w.view.keys {
		if n := w.view.keys[i].most.Load(); n > 2 {
			w.t.Errorf("%s was loaded by %d at one time", w.keptKey(i), n)
		}
	}
}

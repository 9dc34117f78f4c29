package cache

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/cache/embedded"
	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

func TestMain(m *testing.M) {
	if runDurabilityChild() {
		return
	}
	// rueidis closes what a cluster's new topology needs no more five seconds
	// later, and tells nobody.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// patience bounds every wait of these tests; it is long because a loaded
// machine is no fault of the code under test.
const patience = 20 * time.Second

// setup is the Config of a Cache under test, and its shared tier: Redis, or where
// it has no URL the embedded file.
type setup struct {
	Config
	Redis    redis.Config
	Embedded string
	around   func(SharedTier) SharedTier // wraps the tier; nil: nothing
	hears    func(key string) bool       // false: the report of a change of key gets lost; nil: none does
}

// testConfig has short waits where tests wait for them, long ones elsewhere.
func testConfig() setup {
	return setup{Config: Config{
		Revalidate: time.Minute, LinkTimeout: 2 * time.Second, Lease: 10 * time.Second,
		Settings: Settings{
			Budget: 16 << 20, MissingShare: 0.1, MissingRate: 1000, UntrackedTTL: 200 * time.Millisecond,
			MaxLoads: 64, MaxWaiting: 10000, HotRate: 1000, Wait: 10 * time.Second,
		},
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}}
}

// start opens a Cache.
func (s setup) start() (*Cache, error) {
	s.Config.Shared = func(m *memory.Store, f *Flights) (SharedTier, error) {
		var tier SharedTier
		var err error
		if s.Redis.URL == "" {
			tier = embedded.New(s.Embedded, s.Lease, s.Log, m, f)
		} else {
			r := s.Redis
			r.LinkTimeout, r.Lease, r.Revalidate, r.Log = s.LinkTimeout, s.Lease, s.Revalidate, s.Log
			var reads redis.Reads = f
			if s.hears != nil {
				reads = deaf{f, s.hears}
			}
			tier, err = redis.New(r, m, reads)
		}
		if err == nil && s.around != nil {
			tier = s.around(tier)
		}
		return tier, err
	}
	c, err := New(s.Config)
	if err != nil {
		return nil, err
	}
	if err := c.Open(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// openRedis returns a Cache whose connection to srv has proved itself.
func openRedis(t testing.TB, srv *testkit.RedisServer, change ...func(*setup)) *Cache {
	t.Helper()
	c := openUnproven(t, srv, change...)
	testkit.Eventually(t, patience, "the connection has proved itself", func() bool { return c.Up() == nil && proven(c) })
	return c
}

func openUnproven(t testing.TB, srv *testkit.RedisServer, change ...func(*setup)) *Cache {
	t.Helper()
	cfg := testConfig()
	cfg.Redis.URL = srv.URL()
	return open(t, cfg, change...)
}

func openFile(t *testing.T, change ...func(*setup)) *Cache {
	t.Helper()
	cfg := testConfig()
	cfg.Embedded = filepath.Join(t.TempDir(), "tier.db")
	return open(t, cfg, change...)
}

func open(t testing.TB, cfg setup, change ...func(*setup)) *Cache {
	t.Helper()
	for _, f := range change {
		f(&cfg)
	}
	c, err := cfg.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// proven tells whether a living connection has delivered an invalidation.
func proven(c *Cache) bool {
	for o := range c.store.Owners {
		if !o.Local() && !o.Ended() && o.Proven() {
			return true
		}
	}
	return false
}

// bothTiers runs f against the embedded tier and against Redis.
func bothTiers(t *testing.T, f func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache)) {
	t.Run("embedded", func(t *testing.T) { f(t, openFile) })
	t.Run("redis", func(t *testing.T) {
		srv := testkit.Redis(t)
		f(t, func(t *testing.T, change ...func(*setup)) *Cache { return openRedis(t, srv, change...) })
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

var testLives = Lifetimes{Cold: time.Hour, Hot: 5 * time.Minute, Missing: 30 * time.Second, Stale: 10 * time.Minute}

// keyOf makes keys that no two tests share.
func keyOf(t *testing.T, id any) string { return fmt.Sprintf("%s:%v", t.Name(), id) }

// ledger is a system of record in memory. Its hooks run between the steps that
// a test wants to come between.
type ledger struct {
	mu   sync.Mutex
	rows map[string]string

	loads  atomic.Int64
	loaded func(ctx context.Context, id string) error // after the row was read, before Load returns
	begun  func() error                               // after a change was made, before Put or Delete returns
	commit func(apply func()) error                   // instead of committing
	over   func() (bool, error)                       // whether a commit of unknown outcome is over; nil: at once
	undone atomic.Int64                               // rollbacks

	marks  bool                   // changes note their writer
	writer atomic.Pointer[string] // of the latest change
}

func newLedger(rows ...string) *ledger {
	l := &ledger{rows: map[string]string{}}
	for i := 0; i < len(rows); i += 2 {
		l.rows[rows[i]] = rows[i+1]
	}
	return l
}

func (l *ledger) write(id, row string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if row == "" {
		delete(l.rows, id)
		return
	}
	l.rows[id] = row
}

func (l *ledger) row(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows[id]
}

func (l *ledger) Load(ctx context.Context, args source.Args) ([]byte, error) {
	l.loads.Add(1)
	id := fmt.Sprint(args...)
	row := l.row(id)
	if l.loaded != nil {
		if err := l.loaded(ctx, id); err != nil {
			return nil, err
		}
	}
	if row == "" {
		return nil, source.ErrNoRecord
	}
	return []byte(row), nil
}

func (l *ledger) Put(ctx context.Context, args source.Args, body jsonvalue.Node) (source.Change, error) {
	if l.begun != nil {
		if err := l.begun(); err != nil {
			return nil, err
		}
	}
	return l.change(ctx, args, string(body.Value)), nil
}

func (l *ledger) change(ctx context.Context, args source.Args, row string) *change {
	token := source.WriterOf(ctx)
	l.writer.Store(&token)
	return &change{ledger: l, id: fmt.Sprint(args...), row: row}
}

func (l *ledger) Delete(ctx context.Context, args source.Args) (source.Change, error) {
	if l.row(fmt.Sprint(args...)) == "" {
		return nil, source.ErrNoRecord
	}
	return l.change(ctx, args, ""), nil
}

type change struct {
	*ledger
	id, row string
}

func (c *change) Record() []byte {
	if c.row == "" {
		return nil
	}
	return []byte(c.row)
}

func (c *change) Commit(context.Context) error {
	apply := func() { c.write(c.id, c.row) }
	if c.ledger.commit != nil {
		return c.ledger.commit(apply)
	}
	apply()
	return nil
}

func (c *change) Over(context.Context) (bool, error) {
	if c.ledger.over != nil {
		return c.ledger.over()
	}
	return true, nil
}

func (c *change) Rollback() { c.undone.Add(1) }

func (c *change) Marked() bool { return c.marks }

// expireAt makes the copy e in memory expire at a clock time.
func (c *Cache) expireAt(e *Entry, at int64) {
	c.store.KeepFor(e, e.Epoch(), memory.Life{Until: at, Ends: memory.Never, RefreshAt: memory.Never})
}

// desk is one resource on one Cache, as handlers use them.
type desk struct {
	*Cache
	t    *testing.T
	r    *Resource
	book *ledger
}

func newDesk(t *testing.T, c *Cache, book *ledger) *desk {
	d := &desk{Cache: c, t: t, book: book}
	var records source.Records
	if book != nil {
		records = book
	}
	d.r = NewResource("user", "user", testLives, records)
	return d
}

func (d *desk) key(id string) string { return keyOf(d.t, id) }

// read goes the whole way: memory, then Read.
func (d *desk) read(id string) (Answer, error) {
	return d.readWithin(within(d.t), id)
}

func (d *desk) readWithin(ctx context.Context, id string) (Answer, error) {
	if e, ttl := d.Hit(d.r, []byte(d.key(id)), time.Now()); e != nil {
		return Answer{Entry: e, Tier: TierMemory, TTL: ttl}, nil
	}
	return d.Cache.Read(ctx, d.r, d.key(id), source.Args{id})
}

func (d *desk) put(id, row string) (Answer, error) {
	return d.Put(within(d.t), d.r, d.key(id), source.Args{id}, jsonvalue.Node{Value: []byte(row)})
}

// wantRead reads and compares the data and the tier that answered.
func (d *desk) wantRead(id, data string, tier Tier) Answer {
	d.t.Helper()
	a, err := d.read(id)
	if err != nil {
		d.t.Fatalf("reading %s: %v", id, err)
	}
	if got := string(a.Data()); got != data || a.Tier != tier {
		d.t.Fatalf("reading %s: got %s from %v (%s), want %s from %v", id, got, a.Tier, a.Detail, data, tier)
	}
	return a
}

func (d *desk) mustPut(id, row string) {
	d.t.Helper()
	if _, err := d.put(id, row); err != nil {
		d.t.Fatalf("putting %s: %v", id, err)
	}
}

// Hit is Look that needs no pin: what it finds is an answer of its own, nil for none.
func (c *Cache) Hit(r *Resource, key []byte, now time.Time) (e *Entry, ttl time.Duration) {
	defer c.Pin(0).Release()
	v, ttl := c.Look(r, key, now)
	return v.Entry(), ttl
}

// ownerOf is the connection that an entry was read on, nil if it is not known any more.
func (c *Cache) ownerOf(e *Entry) (owner *memory.Owner) {
	for o := range c.store.Owners {
		if o.Epoch() == e.Epoch() {
			owner = o
		}
	}
	return owner
}

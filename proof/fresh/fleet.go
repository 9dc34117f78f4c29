package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache"
	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

const (
	instances = 3
	writers   = 8  // each with records of its own, so that their versions grow
	records   = 16 // of each writer
	readers   = 6  // of each write, half on each of the other instances
	readsEach = 10
	patience  = time.Minute
)

// fleet is some instances over one Redis and one system of record.
type fleet struct {
	caches [instances]*cache.Cache
	res    [instances]*cache.Resource
	counts counts
}

// counts are what a run has found.
type counts struct {
	mu            sync.Mutex
	writes, reads int64
	older         int64 // answers older than the write whose acknowledgement came before the question
	memory        int64 // answers of memory
	loads         int64 // answers of the source
	marked        int64 // answers that say themselves that they may be old
	failed        int64
	first         error
	elapsed       time.Duration
}

func (c *counts) String() string {
	return fmt.Sprintf("%d reads after %d writes on other instances, %d older (memory answered %d, the source %d, marked %d) in %v",
		c.reads, c.writes, c.older, c.memory, c.loads, c.marked, c.elapsed.Round(time.Millisecond))
}

// newFleet starts a Redis, and instances that apply the reports of changes up to delay late.
func newFleet(tb testkit.TB, delay time.Duration) *fleet {
	srv, book, f := testkit.Redis(tb), &book{}, &fleet{}
	late := &lateness{most: delay}
	tb.Cleanup(late.reports.Wait)
	for i := range f.caches {
		f.caches[i] = open(tb, srv.URL(), late)
		lives := cache.Lifetimes{Cold: time.Hour, Hot: time.Hour, Missing: time.Minute, Stale: time.Minute}
		f.res[i] = cache.NewResource("record", "record", lives, book)
	}
	for i, c := range f.caches {
		testkit.Eventually(tb, patience, "the instance keeps what it reads", func() bool {
			_, err := c.Read(tb.Context(), f.res[i], keyOf(0), source.Args{0})
			_, held := c.Memory(f.res[i], keyOf(0), source.Args{0})
			return err == nil && held
		})
	}
	return f
}

func open(tb testkit.TB, url string, late *lateness) *cache.Cache {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := cache.Config{
		Revalidate: time.Minute, LinkTimeout: 10 * time.Second, Lease: 10 * time.Second, Log: log,
		Settings: cache.Settings{
			Budget: 16 << 20, MissingShare: 0.1, MissingRate: 1000, UntrackedTTL: time.Second,
			MaxLoads: 64, MaxWaiting: 10000, HotRate: 1e9, Wait: 10 * time.Second,
		},
	}
	cfg.Shared = func(m *memory.Store, f *cache.Flights) (cache.SharedTier, error) {
		r := redis.Config{URL: url, LinkTimeout: cfg.LinkTimeout, Lease: cfg.Lease, Revalidate: cfg.Revalidate, Log: log}
		return redis.New(r, m, lateFlights{f, late})
	}
	c, err := cache.New(cfg)
	if err == nil {
		err = c.Open()
	}
	if err != nil {
		tb.Fatalf("opening an instance: %v", err)
	}
	tb.Cleanup(c.Close)
	return c
}

// lateFlights apply the reports of changes late, each for itself. What a connection has to
// prove, canaries, is applied at once.
type lateFlights struct {
	*cache.Flights
	*lateness
}

type lateness struct {
	most    time.Duration
	reports sync.WaitGroup
}

func (l lateFlights) Invalidated(o *memory.Owner, key string) (sourced bool) {
	if len(key) < len(keyPrefix) || key[:len(keyPrefix)] != keyPrefix {
		return l.Flights.Invalidated(o, key)
	}
	l.reports.Go(func() {
		timer := time.NewTimer(rand.N(l.most + 1))
		defer timer.Stop()
		<-timer.C
		l.Flights.Invalidated(o, key)
	})
	return false
}

const keyPrefix = "record:"

func keyOf(record int) string { return fmt.Sprint(keyPrefix, record) }

// book is the system of record: the version of each, which only grows.
type book struct {
	versions [writers * records]atomic.Int64
}

func textOf(version int64) []byte { return fmt.Appendf(nil, `{"v":%d}`, version) }

func (b *book) Load(_ context.Context, args source.Args) ([]byte, error) {
	return textOf(b.versions[args[0].(int)].Load()), nil
}

func (b *book) Put(_ context.Context, args source.Args, _ jsonvalue.Node) (source.Change, error) {
	return &change{b, args[0].(int), 0}, nil
}

func (b *book) Delete(context.Context, source.Args) (source.Change, error) {
	return nil, source.ErrReadOnly
}

// change is the next version of a record.
type change struct {
	book    *book
	record  int
	version int64
}

func (c *change) Commit(context.Context) error {
	c.version = c.book.versions[c.record].Add(1)
	return nil
}

func (c *change) Record() []byte                     { return textOf(c.version) }
func (c *change) Over(context.Context) (bool, error) { return true, nil }
func (c *change) Rollback()                          {}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"hearth/cache"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// play writes and reads until there were so many reads.
func (f *fleet) play(ctx context.Context, versions bool, reads int64) *counts {
	began := time.Now()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := 0; ctx.Err() == nil && f.more(reads); n++ {
				f.write(ctx, w*records+n%records, versions)
			}
		})
	}
	all.Wait()
	f.counts.elapsed = time.Since(began)
	if err := ctx.Err(); err != nil {
		f.note(func(c *counts) { c.fail(context.Cause(ctx)) })
	}
	return &f.counts
}

func (f *fleet) note(what func(*counts)) {
	f.counts.mu.Lock()
	defer f.counts.mu.Unlock()
	what(&f.counts)
}

func (f *fleet) more(reads int64) (more bool) {
	f.note(func(c *counts) { more = c.reads < reads && c.failed == 0 })
	return more
}

func (c *counts) fail(err error) {
	if c.failed++; c.first == nil {
		c.first = err
	}
}

// write writes a record through one instance, and reads it on the others as soon as that is
// acknowledged. Before, they read it, so that their memories have something to be old.
func (f *fleet) write(ctx context.Context, record int, versions bool) {
	at, key, args := rand.IntN(instances), keyOf(record), source.Args{record}
	for i, c := range f.caches {
		if _, err := c.ReadFresh(ctx, f.res[i], key, args, cache.Demand{}); err != nil {
			f.note(func(c *counts) { c.fail(err) })
			return
		}
	}
	a, err := f.caches[at].Put(ctx, f.res[at], key, args, jsonvalue.Node{Value: []byte("{}")})
	if err != nil {
		f.note(func(c *counts) { c.fail(err) })
		return
	}
	written := versionOf(a)
	var token []byte
	if versions {
		token = []byte(f.caches[at].NewVersion(key))
	}
	f.note(func(c *counts) { c.writes++ })
	var all sync.WaitGroup
	for n := range readers {
		i := (at + 1 + n%(instances-1)) % instances
		all.Go(func() { f.read(ctx, i, record, token, written) })
	}
	all.Wait()
}

// read reads what was written, on an instance that did not write it.
func (f *fleet) read(ctx context.Context, i, record int, token []byte, written int64) {
	var found counts
	c, key := f.caches[i], keyOf(record)
	for range readsEach {
		since, ok := c.SinceOf(token, key)
		if !ok || (since > 0) != (len(token) > 0) {
			found.fail(fmt.Errorf("version %q of %s: since %d, understood %v", token, key, since, ok))
			break
		}
		a, err := c.ReadFresh(ctx, f.res[i], key, source.Args{record}, cache.Demand{Since: since})
		if err != nil {
			found.fail(err)
			break
		}
		found.reads++
		switch {
		case a.Detail != "":
			found.marked++
		case versionOf(a) < written:
			found.older++
		}
		switch {
		case a.FromDB:
			found.loads++
		case a.Tier == cache.TierMemory:
			found.memory++
		}
	}
	f.note(func(c *counts) { c.add(&found) })
}

func (c *counts) add(found *counts) {
	c.reads, c.older = c.reads+found.reads, c.older+found.older
	c.memory, c.loads, c.marked = c.memory+found.memory, c.loads+found.loads, c.marked+found.marked
	if found.failed > 0 {
		c.fail(found.first)
	}
}

func versionOf(a cache.Answer) (version int64) {
	if _, err := fmt.Sscanf(string(a.Data()), `{"v":%d}`, &version); err != nil {
		return -1
	}
	return version
}

package embedded

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"hearth/cache/shared"
)

// sweepStep bounds how many rows are read at a time.
const sweepStep = 1000

// Sweep is Outdate for all keys that match pattern, and that match says yes to. It reads
// the rows beside the writer, some at a time, each time anew behind the last key.
//
// Placeholders come first. A record that is on its way to the file has its placeholder
// standing until it is there, so it is met as the one or as the other:
//
//	placeholders are listed     a lease stands in the key
//	                            its load fills the key; the row is there, the lease is gone
//	rows are listed             … and is met again, for nothing
func (e *Tier) Sweep(ctx context.Context, pattern string, match func(key string) bool) (n int64, err error) {
	wanted := func(key string) bool { return shared.MatchGlob(pattern, key) && match(key) }
	keys := e.placeholders(wanted)
	if err := e.Outdate(ctx, keys); err != nil {
		return 0, err
	}
	n = int64(len(keys))
	for last, more := shared.GlobPrefix(pattern), true; more; {
		var rows []string
		if rows, err = e.keysFrom(ctx, last); err != nil {
			return n, err
		}
		keys = keys[:0]
		for _, key := range rows {
			if more = strings.HasPrefix(key, shared.GlobPrefix(pattern)); more && wanted(key) {
				keys = append(keys, shared.Outdated{Key: key})
			}
		}
		if err := e.Outdate(ctx, keys); err != nil {
			return n, err
		}
		n += int64(len(keys))
		if more = more && len(rows) == sweepStep; more {
			last = rows[len(rows)-1] + "\x00" // the next that there can be
		}
	}
	return n, nil
}

// placeholders are the keys of placeholders that are wanted.
func (e *Tier) placeholders(wanted func(string) bool) (keys []shared.Outdated) {
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		for key := range sh.placeholders {
			if wanted(key) {
				keys = append(keys, shared.Outdated{Key: key})
			}
		}
		sh.mu.Unlock()
	}
	return keys
}

// keysFrom returns the keys of rows from one on, in their order, some of them at a time.
func (e *Tier) keysFrom(ctx context.Context, first string) (keys []string, err error) {
	rows, err := e.db.QueryContext(ctx, `SELECT key FROM entries WHERE key >= ? ORDER BY key LIMIT ?`, first, sweepStep)
	if err == nil {
		defer rows.Close()
		for rows.Next() {
			var key string
			if err = rows.Scan(&key); err != nil {
				break
			}
			keys = append(keys, key)
		}
		err = cmp.Or(err, rows.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("%w: reading the embedded tier: %w", shared.ErrAway, err)
	}
	return keys, nil
}

// Generation tells how often another file stood in the place of the tier's. It has what it
// has: nothing that was outdated at the one before is remembered.
func (e *Tier) Generation() shared.Generation {
	n := e.replaced.Load()
	return shared.Generation{Number: n, Forgotten: n}
}

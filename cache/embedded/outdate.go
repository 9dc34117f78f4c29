package embedded

import (
	"context"
	"slices"
	"sync"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// outdated bounds how many keys are removed in one transaction: those behind it wait for
// its end.
const outdated = 1024

// Outdate removes what stands in keys whose records have changed in their source. A guard
// of others stays, marked as shared. Readers in this process see the change before it
// returns: their copies are dropped.
//
// It is synced to the disk: whoever tells of the change is about to forget it.
func (e *Tier) Outdate(ctx context.Context, keys []shared.Outdated) error {
	for part := range slices.Chunk(keys, outdated) {
		if err := e.outdatePart(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

func (e *Tier) outdatePart(ctx context.Context, part []shared.Outdated) error {
	var touched [placeholderShards]bool
	for i := range part {
		touched[memory.HashKey(part[i].Key)%placeholderShards] = true
	}
	e.eachShard(&touched, (*sync.Mutex).Lock)
	now := time.Now()
	rows := make([]row, 0, len(part))
	for i := range part {
		o := &part[i]
		goes := false
		if goes, o.Kept = e.shard(o.Key).outdate(o, now); goes {
			rows = append(rows, row{key: o.Key, remove: true, durable: true})
		}
	}
	var job *rowJob
	if len(rows) > 0 {
		job = e.change(rows...)
	}
	e.eachShard(&touched, (*sync.Mutex).Unlock)
	var err error
	if job != nil {
		err = job.wait(ctx)
		defer e.told(job)
	}
	for i := range part {
		if !part[i].Kept {
			e.reads.Changed(part[i].Key)
		}
	}
	return err
}

// outdate is Outdate for what stands in memory; it tells whether the row has to go, or is
// kept as the record of the writer itself. The shard is locked.
//
// The row goes also where a guard stands: the record that its writer puts may be on its
// way to the file, and then it is older than the change.
func (sh *placeholderShard) outdate(o *shared.Outdated, now time.Time) (goes, kept bool) {
	delete(sh.refreshes, o.Key)
	if mark, there := sh.own[o.Key]; there && o.Writer != "" && mark.token == o.Writer {
		delete(sh.own, o.Key)
		if now.Before(mark.until) {
			return false, true
		}
	}
	switch p := sh.standing(o.Key, now); {
	case p == nil:
	case p.lease != "":
		delete(sh.placeholders, o.Key)
	case !p.guards[o.Writer].IsZero() && (p.shared || len(p.guards) == 1):
		return false, false // its own guard
	default:
		p.shared = true
	}
	return true, false
}

// ownMark says that the record in the key is the one that a writer has put there.
type ownMark struct {
	token string
	until time.Time
}

// maxOwn bounds the marks of one shard. A record that is not marked is removed by the
// change of its own writer, and loaded again.
const maxOwn = 1024

// markOwn marks the record that token puts into key. The shard is locked.
func (sh *placeholderShard) markOwn(key, token string, now time.Time) {
	if _, there := sh.own[key]; !there && len(sh.own) >= maxOwn {
		for other, mark := range sh.own {
			if !now.Before(mark.until) {
				delete(sh.own, other)
			}
		}
		if len(sh.own) >= maxOwn {
			return
		}
	}
	sh.own[key] = ownMark{token, now.Add(shared.OwnFor)}
}

// Remove deletes keys. It is Outdate for a change of others; what has no other copy is
// removed like what has one.
func (e *Tier) Remove(ctx context.Context, keys []string, _ bool) error {
	all := make([]shared.Outdated, len(keys))
	for i, key := range keys {
		all[i].Key = key
	}
	return e.Outdate(ctx, all)
}

// leases are those that a fleet has one holder of. This process is all the fleet there is.
type leases struct {
	mu    sync.Mutex
	texts map[string]leaderText
}

type leaderText struct {
	text  []byte
	until time.Time
}

// lastingFrom is how long a lease has to be to outlive the process: it stands in the
// file then.
const lastingFrom = time.Hour

// Lead takes the lease in key for holder, or renews it. A short one means nothing once the
// process is gone, so it is in memory only.
func (e *Tier) Lead(ctx context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error) {
	text, err := shared.LeaderText(holder, note)
	if err != nil {
		return nil, false, err
	}
	e.leases.mu.Lock() // also while the file is read and written: of two that ask, one holds it
	defer e.leases.mu.Unlock()
	other, err := e.peek(ctx, key)
	if err != nil {
		return nil, false, err
	}
	if who, _ := shared.LeaderOf(other); other != nil && who != holder {
		return other, false, nil
	}
	if ttl >= lastingFrom {
		if err := e.writer.queue(row{key: key, value: text, expires: expiryOf(ttl)}).wait(ctx); err != nil {
			return nil, false, err
		}
		return text, true, nil
	}
	if e.leases.texts == nil {
		e.leases.texts = map[string]leaderText{}
	}
	e.leases.texts[key] = leaderText{text, time.Now().Add(ttl)}
	return text, true, nil
}

// Peek returns what stands in the key of such a lease, nil for nothing.
func (e *Tier) Peek(ctx context.Context, key string) (standing []byte, err error) {
	e.leases.mu.Lock()
	defer e.leases.mu.Unlock()
	return e.peek(ctx, key)
}

// peek is Peek; the leases are locked.
func (e *Tier) peek(ctx context.Context, key string) (standing []byte, err error) {
	lease, there := e.leases.texts[key]
	if there && time.Now().Before(lease.until) {
		return lease.text, nil
	}
	value, expires, err := e.stored(ctx, key)
	if err != nil || value == nil || expires != 0 && expires <= time.Now().UnixMilli() {
		return nil, err
	}
	return value, nil
}

// Yield gives that lease back if it is still the holder's.
func (e *Tier) Yield(ctx context.Context, key, holder string) error {
	e.leases.mu.Lock()
	defer e.leases.mu.Unlock()
	standing, err := e.peek(ctx, key)
	if err != nil {
		return err
	}
	if who, _ := shared.LeaderOf(standing); who != holder {
		return nil
	}
	delete(e.leases.texts, key)
	return e.writer.queue(row{key: key, remove: true}).wait(ctx)
}

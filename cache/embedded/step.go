package embedded

import (
	"bytes"
	"context"
	"strings"
	"time"

	"hearth/cache/shared"
)

// The steps of the protocol on the embedded tier. Each holds the lock of the key's shard
// while it looks and queues what it changes, so it is as atomic as a script of Redis. A
// step with a row waits for the row without the lock; the placeholder stands until the
// row is written, so that no reader finds the key empty in between.

// placeholder is a lease (lease != "") or a guard. The lock of its shard guards
// it. It hides the row of its key from readers for as long as it stands. A shared
// guard means that writers overlapped: the last of them cannot know which record
// committed last, so none stores its own.
type placeholder struct {
	lease    string
	deadline time.Time            // of the lease; from then on it does not count
	guards   map[string]time.Time // token → deadline
	shared   bool                 // the guard was shared once, and stays so
}

// refreshLease stands beside a value that is being loaded anew. It hides nothing:
// readers go on to be served the value while one of them loads anew. It is no
// placeholder for that reason.
type refreshLease struct {
	token    string
	deadline time.Time
}

// standing returns the key's placeholder, nil if there is none or its last
// deadline has passed. The shard is locked. It removes what has expired as it
// looks, so no timer is needed. The deadlines are those of the process's
// monotonic clock.
func (sh *placeholderShard) standing(key string, now time.Time) *placeholder {
	p := sh.placeholders[key]
	if p == nil {
		return nil
	}
	for token, deadline := range p.guards {
		if !now.Before(deadline) {
			delete(p.guards, token)
		}
	}
	if len(p.guards) == 0 && (p.lease == "" || !now.Before(p.deadline)) {
		delete(sh.placeholders, key)
		return nil
	}
	return p
}

// joinGuard puts token into the key's guard; p is what stands there. A lease is replaced:
// the load under it is void, and so is a refresh of the value. A guard that is joined
// counts as shared. The shard is locked.
func (sh *placeholderShard) joinGuard(key, token string, p *placeholder, deadline time.Time) *placeholder {
	if p == nil || p.lease != "" {
		p = &placeholder{guards: map[string]time.Time{}}
		sh.placeholders[key] = p
	} else {
		p.shared = true
	}
	p.guards[token] = deadline
	delete(sh.refreshes, key)
	return p
}

// reply shows the placeholder as a read of it. The text has the form that Redis
// would hold, so the cache parses both tiers alike. A guard lasts as long as the
// last of its tokens.
func (p *placeholder) reply(now time.Time) shared.Content {
	if p.lease != "" {
		return shared.Content{State: shared.Lease, Text: shared.LeasePrefix + p.lease, TTL: p.deadline.Sub(now)}
	}
	var last time.Time
	tokens := make([]string, 0, len(p.guards))
	for token, deadline := range p.guards {
		tokens = append(tokens, token)
		if deadline.After(last) {
			last = deadline
		}
	}
	return shared.Content{State: shared.Guard, Text: shared.GuardPrefix + strings.Join(tokens, ","), TTL: last.Sub(now)}
}

// Acquire puts a lease in the place of nothing or, with instead, of exactly those bytes.
// Otherwise it returns what stands there.
//
// The row is read under the lock of the shard: no step can queue a row of the key
// between the look and the lease. A row that was queued before and is not in the
// file yet has its placeholder standing, or is of a batch that is not
// acknowledged yet. The zero Content means that the lease is taken. It lasts for
// the tier's lease time; a loader that takes longer finds it gone when it fills.
func (e *Tier) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	if p := sh.standing(key, now); p != nil {
		return p.reply(now), nil
	}
	r, err := e.row(ctx, key)
	if err != nil {
		return shared.Content{}, err
	}
	if r.State != shared.Absent && (instead == nil || string(instead) != string(r.Bytes())) {
		return r, nil
	}
	sh.placeholders[key] = &placeholder{lease: token, deadline: now.Add(e.lease)}
	return shared.Content{}, nil
}

// Fill replaces the lease by value; false: the lease is gone, and with it the right to
// store what was loaded under it.
//
// While the row is on its way to the file the lease still stands. A guard may
// replace it then: its removal of the row is queued behind the value, and
// removeToken leaves the guard alone. An error means that the value may be stored
// all the same, later; the lease is over in any case.
func (e *Tier) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	sh := e.shard(key)
	sh.mu.Lock()
	p := sh.standing(key, time.Now())
	if p == nil || p.lease != token { // expired, or replaced by a guard, a batch or a removal
		sh.mu.Unlock()
		return false, nil
	}
	delete(sh.refreshes, key)
	job := e.change(row{key: key, value: value, expires: expiryOf(ttl)})
	sh.mu.Unlock()
	err := job.wait(ctx)
	defer e.told(job)
	// After the write, and also after a failed one: a lease that stood on would
	// make readers wait for a loader that has finished.
	e.removeToken(key, p, token)
	return err == nil, err
}

// removeToken takes token out of p, whose row has been written, unless another placeholder
// has taken its place, and has the key read again. Tokens that joined a guard while the
// row was written stay.
func (e *Tier) removeToken(key string, p *placeholder, token string) {
	sh := e.shard(key)
	sh.mu.Lock()
	if p != nil && sh.placeholders[key] == p {
		delete(p.guards, token)
		if len(p.guards) == 0 {
			delete(sh.placeholders, key)
		}
	}
	sh.mu.Unlock()
	e.reads.Changed(key)
}

// expiryOf is when a row that lives for ttl expires, in unix ms; 0 for never.
// Whole milliseconds, since the file outlives the process and its monotonic
// clock.
func expiryOf(ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return time.Now().Add(ttl).UnixMilli()
}

// Release removes the lease if it still stands. A loader calls it when it has
// nothing to store. A token that is not the lease's changes nothing.
func (e *Tier) Release(_ context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	if p := sh.placeholders[key]; p != nil && p.lease == token {
		delete(sh.placeholders, key)
	}
	sh.mu.Unlock()
	e.reads.Wake(key) // not Changed: the record is what it was, and a copy may still be served stale
	return nil
}

// Guard joins the guard that stands in key, or replaces whatever else does. It
// returns when the row is gone. The caller writes to the source only after that.
// From the guard on no load stores what it read before the write, and after a
// crash of the process no old row is left.
func (e *Tier) Guard(ctx context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	now := time.Now()
	sh.joinGuard(key, token, sh.standing(key, now), now.Add(e.lease))
	// Queued under the lock: a Fill that found its lease just before has queued
	// its value first, so this removal comes behind it.
	job := e.change(row{key: key, remove: true})
	sh.mu.Unlock()
	err := job.wait(ctx)
	e.reads.Changed(key)
	e.told(job)
	return err
}

// RenewGuards prolongs guards. Rows of those that are set anew go in one commit,
// mostly. Renewals do not fail each other: each has its own error. A guard that
// only has its deadline moved costs no write at all.
func (e *Tier) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	out := make([]shared.Renewal, len(guards))
	jobs := map[int]*rowJob{}
	for i, g := range guards {
		out[i].State = e.renew(g, func(gone row) { jobs[i] = e.change(gone) })
	}
	for i, job := range jobs {
		out[i].Err = job.wait(ctx)
		e.reads.Changed(guards[i].Key)
		e.told(job)
	}
	return out
}

// renew is RenewGuards for one guard. For one that is set anew it calls remove with the
// row to be removed, under the lock of the shard. Such a guard counts as shared: others
// may have committed while it was gone, before this writer or after it.
func (e *Tier) renew(g shared.HeldGuard, remove func(row)) shared.GuardState {
	sh := e.shard(g.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	p := sh.standing(g.Key, now)
	switch {
	case p != nil && !p.guards[g.Token].IsZero():
		p.guards[g.Token] = now.Add(e.lease)
		return shared.GuardStood
	// Its writer has not sent COMMIT yet; it learns that the guard is gone, and
	// aborts.
	case !g.Restore:
		return shared.GuardGone
	}
	sh.joinGuard(g.Key, g.Token, p, now.Add(e.lease)).shared = true
	remove(row{key: g.Key, remove: true})
	return shared.GuardRestored
}

// Unguard takes token out of the guard. The last one deletes the row, or puts value there
// (nil: nothing) if the guard was never shared. One that finds only the guards of others
// marks them as shared; one that finds no guard deletes what stands there.
//
// While the row is on its way to the file the guard still stands. Another writer
// may join it then: its removal of the row is queued behind the value, and its
// token stays. After an error the guard stands until its deadline, for what
// became of the row is not known.
func (e *Tier) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error {
	sh := e.shard(key)
	sh.mu.Lock()
	// A refresh that began before the commit may have read the old record, so it
	// loses its lease and stores nothing.
	delete(sh.refreshes, key)
	p := sh.standing(key, time.Now())
	mine := p != nil && !p.guards[token].IsZero()
	if p != nil && p.lease != "" {
		delete(sh.placeholders, key) // void: what is loaded under it may be from before the commit
		p = nil
	}
	if p != nil && (len(p.guards) > 1 || len(p.guards) == 1 && !mine) {
		p.shared = true // the others were not alone, though they may not have met this token
		delete(p.guards, token)
		sh.mu.Unlock()
		return nil
	}
	change := row{key: key, remove: true}
	if mine && !p.shared && len(value) > 0 {
		change = row{key: key, value: value, expires: expiryOf(ttl)}
		if own {
			sh.markOwn(key, token, time.Now())
		}
	}
	job := e.change(change)
	sh.mu.Unlock()
	err := job.wait(ctx)
	defer e.told(job)
	if err == nil {
		e.removeToken(key, p, token)
	}
	return err
}

// Claim takes the refresh lease of key while exactly the bytes was stand there, with an
// expiry, which it returns (unix ms). ok is false when they do not, or another refresh of
// the key is under way.
func (e *Tier) Claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error) {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	if other, taken := sh.refreshes[key]; taken && other.token != token && now.Before(other.deadline) {
		return 0, false, nil
	}
	if sh.standing(key, now) != nil {
		return 0, false, nil
	}
	value, expires, err := e.stored(ctx, key)
	// The bytes have to be those that the reader holds: a value that was replaced
	// meanwhile is fresh already.
	if err != nil || expires <= now.UnixMilli() || !bytes.Equal(value, was) { // rows without expiry (0) are not refreshed
		return 0, false, err
	}
	sh.refreshes[key] = refreshLease{token: token, deadline: now.Add(e.lease)}
	return expires, true, nil
}

// Refresh stores value if the refresh lease still stands, and bytes and expiry
// are what Claim saw; else it stores nothing and returns false. It compares when
// the row is written: what was queued before it is in the file then. The lock
// cannot be held while the row is written, so the writer compares instead: a Set
// or a removal that was queued in between changes the row, and the condition
// fails.
func (e *Tier) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	sh := e.shard(key)
	sh.mu.Lock()
	now := time.Now()
	mine := sh.refreshes[key]
	if mine.token != token || !now.Before(mine.deadline) || sh.standing(key, now) != nil {
		sh.mu.Unlock()
		return false, nil
	}
	delete(sh.refreshes, key)
	job := e.change(row{key: key, value: value, expires: expiryOf(ttl), was: was, wasExpires: expires})
	sh.mu.Unlock()
	err := job.wait(ctx)
	defer e.told(job)
	if err == nil && job.swapped {
		e.reads.Changed(key)
	}
	return err == nil && job.swapped, err
}

// Disclaim gives the refresh lease back if it still stands. The reader that
// claimed it calls this when its load has failed, so that another may try before
// the deadline.
func (e *Tier) Disclaim(_ context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.refreshes[key].token == token {
		delete(sh.refreshes, key)
	}
	return nil
}

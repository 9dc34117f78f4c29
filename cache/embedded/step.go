package embedded

import (
	"bytes"
	"context"
	"strings"
	"time"

	"hearth/cache/shared"
)

// The steps of the protocol on the embedded tier. Each holds the lock of the
// key's shard while it looks and queues what it changes, so it is as atomic as
// a script of Redis.

// placeholder is a lease (lease != "") or a guard.
type placeholder struct {
	lease    string
	deadline time.Time            // of the lease
	guards   map[string]time.Time // token → deadline
	shared   bool                 // the guard was shared once, and stays so
}

// refreshLease stands beside a value that is being loaded anew.
type refreshLease struct {
	token    string
	deadline time.Time
}

// standing returns the key's placeholder if it still counts. The shard is locked.
func (sh *placeholderShard) standing(key string, now time.Time) *placeholder {
	p := sh.held[key]
	if p == nil {
		return nil
	}
	for token, deadline := range p.guards {
		if !now.Before(deadline) {
			delete(p.guards, token)
		}
	}
	if len(p.guards) == 0 && (p.lease == "" || !now.Before(p.deadline)) {
		delete(sh.held, key)
		return nil
	}
	return p
}

// reply shows the placeholder as other tiers would.
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
	if r.State != shared.Absent && (instead == nil || string(instead) != string(r.Data)) {
		return r, nil
	}
	sh.held[key] = &placeholder{lease: token, deadline: now.Add(e.lease)}
	return shared.Content{}, nil
}

func (e *Tier) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	sh := e.shard(key)
	sh.mu.Lock()
	p := sh.standing(key, time.Now())
	if p == nil || p.lease != token {
		sh.mu.Unlock()
		return false, nil
	}
	delete(sh.claims, key)
	job := e.work.queue(row{key: key, value: value, expires: expiryOf(ttl)})
	sh.mu.Unlock()
	err := job.wait(ctx)
	e.settle(key, p, token)
	return err == nil, err
}

// settle takes token out of the placeholder whose row has been written, unless
// another has taken its place, and tells memory and those who wait. Of a guard
// the tokens that joined meanwhile stay.
func (e *Tier) settle(key string, p *placeholder, token string) {
	sh := e.shard(key)
	sh.mu.Lock()
	if p != nil && sh.held[key] == p {
		delete(p.guards, token)
		if len(p.guards) == 0 {
			delete(sh.held, key)
		}
	}
	sh.mu.Unlock()
	e.flights.Changed(key)
}

func expiryOf(ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return time.Now().Add(ttl).UnixMilli()
}

func (e *Tier) Release(_ context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	if p := sh.held[key]; p != nil && p.lease == token {
		delete(sh.held, key)
	}
	sh.mu.Unlock()
	e.flights.Wake(key) // the record is what it was: a copy may still be served stale
	return nil
}

func (e *Tier) Guard(ctx context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	now := time.Now()
	p := sh.standing(key, now)
	if p == nil || p.lease != "" {
		p = &placeholder{guards: map[string]time.Time{}}
		sh.held[key] = p
	} else {
		p.shared = true
	}
	p.guards[token] = now.Add(e.lease)
	delete(sh.claims, key)
	job := e.work.queue(row{key: key, gone: true})
	sh.mu.Unlock()
	err := job.wait(ctx)
	e.flights.Changed(key)
	return err
}

func (e *Tier) RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal {
	out := make([]shared.Renewal, len(guards))
	jobs := map[int]*rowJob{}
	for i, g := range guards {
		out[i].State = e.prolong(g, func(gone row) { jobs[i] = e.work.queue(gone) })
	}
	for i, job := range jobs {
		out[i].Err = job.wait(ctx)
		e.flights.Changed(guards[i].Key)
	}
	return out
}

// prolong is uphold for one guard; it hands out the row of one that is set anew,
// to be deleted.
func (e *Tier) prolong(g shared.HeldGuard, remove func(row)) shared.GuardState {
	sh := e.shard(g.Key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	p := sh.standing(g.Key, now)
	switch {
	case p != nil && !p.guards[g.Token].IsZero():
		p.guards[g.Token] = now.Add(e.lease)
		return shared.GuardStood
	case !g.Restore:
		return shared.GuardGone
	case p == nil || p.lease != "":
		p = &placeholder{guards: map[string]time.Time{}}
		sh.held[g.Key] = p
	}
	p.shared = true // others may have committed while it was gone, before this writer or after it
	p.guards[g.Token] = now.Add(e.lease)
	delete(sh.claims, g.Key)
	remove(row{key: g.Key, gone: true})
	return shared.GuardRestored
}

func (e *Tier) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration) error {
	sh := e.shard(key)
	sh.mu.Lock()
	delete(sh.claims, key)
	p := sh.standing(key, time.Now())
	mine := p != nil && !p.guards[token].IsZero()
	if p != nil && p.lease != "" {
		delete(sh.held, key) // void: it may have been loaded under before the commit
		p = nil
	}
	if p != nil && (len(p.guards) > 1 || len(p.guards) == 1 && !mine) {
		p.shared = true // the others were not alone, whether they saw us or not
		delete(p.guards, token)
		sh.mu.Unlock()
		return nil
	}
	change := row{key: key, gone: true}
	if mine && !p.shared && len(value) > 0 {
		change = row{key: key, value: value, expires: expiryOf(ttl)}
	}
	job := e.work.queue(change)
	sh.mu.Unlock()
	err := job.wait(ctx)
	if err == nil {
		e.settle(key, p, token)
	}
	return err
}

func (e *Tier) Claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error) {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	if other, taken := sh.claims[key]; taken && other.token != token && now.Before(other.deadline) {
		return 0, false, nil
	}
	if sh.standing(key, now) != nil {
		return 0, false, nil
	}
	value, expires, err := e.stored(ctx, key)
	if err != nil || expires <= now.UnixMilli() || !bytes.Equal(value, was) {
		return 0, false, err
	}
	sh.claims[key] = refreshLease{token: token, deadline: now.Add(e.lease)}
	return expires, true, nil
}

// Refresh compares when the row is written: what was queued before it is then
// in the file.
func (e *Tier) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	sh := e.shard(key)
	sh.mu.Lock()
	now := time.Now()
	mine := sh.claims[key]
	if mine.token != token || !now.Before(mine.deadline) || sh.standing(key, now) != nil {
		sh.mu.Unlock()
		return false, nil
	}
	delete(sh.claims, key)
	job := e.work.queue(row{key: key, value: value, expires: expiryOf(ttl), was: was, wasExpires: expires})
	sh.mu.Unlock()
	err := job.wait(ctx)
	if err == nil && job.changed {
		e.flights.Changed(key)
	}
	return err == nil && job.changed, err
}

func (e *Tier) Disclaim(_ context.Context, key, token string) error {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.claims[key].token == token {
		delete(sh.claims, key)
	}
	return nil
}

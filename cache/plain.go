package cache

import (
	"fmt"
	"sync/atomic"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// A plain read is one GET of a key whose record memory would not keep: nobody is to tell
// of changes, so Redis tracks nothing, and no entry displaces another one. What it brings is
// answered and forgotten.
//
// Without a tracked read nothing would tell that a read under way is out of date. So it is
// joined only by readers that came before it was sent. Those that come later form the next
// round, which is sent when the one before it is over: of a key one is on the wire at a
// time, and a write poisons nothing, for whoever comes after it reads again.
//
//	reader 1  comes, sends ─────────► reply
//	reader 2     comes, waits ────────► has the turn, sends ──────► reply
//	reader 3        comes, waits ───────────────────────────────► has that of reader 2
//	a write                  │ reader 1 may have the old record, 2 and 3 have the new one
type plainRead struct {
	res  *Resource
	next *plainRound // the readers that came since it was sent; nil: none. Guarded by the flight shard
}

// plainRound are readers that came while a plain read of their key was on the wire. One of
// them sends the next; which one, turn decides: a reader that is out of time leaves, and
// takes nothing with it.
type plainRound struct {
	plainRead
	turn    chan struct{} // receives once, when the read before it is over
	waiting int           // readers; guarded by the flight shard
	done    chan struct{} // closed when the others are set
	seen    sharedRead
	cut     bool // whoever sent it ran out of time, which says nothing to the others
}

// keeps tells whether memory would keep the record, so that it is to be read tracked. Memory
// is asked once a read, because the question is counted. It is not asked
//
//   - where it has a copy already that is not fresh any more: left in its place, the copy could
//     be served stale later, although this instance has answered with a newer one;
//   - while the feed is lost that tells of the record's changes: what is left of its lifetime
//     tells a copy from before the loss, and only a tracked read tells that.
//
// A hot record is kept whatever memory says: it is to be loaded anew before its lifetime ends.
// This second's reads tell: a hot key that memory lacks is found out once in each second at most.
func (q *query) keeps() bool {
	if q.copied || q.r.Degraded() {
		return true
	}
	if q.keeping == unasked {
		q.keeping = keepsNothing
		if !q.handedOn.take(q.key) && q.admits(q.key) || q.reads > q.settings.Load().HotRate {
			q.keeping = keepsRecord
		}
	}
	return q.keeping == keepsRecord
}

// keeping is what memory does with a record that it lacks.
type keeping uint8

const (
	unasked keeping = iota
	keepsRecord
	keepsNothing
)

// handedOn are keys that ReadAtOnce has read plainly and handed on: memory has been asked
// about them, and a second question would count as another read. It is an aid: of two keys
// in one place the later one stays.
type handedOn [256]atomic.Uint64

func (h *handedOn) place(hash uint64) *atomic.Uint64 { return &h[hash%uint64(len(h))] }

func (h *handedOn) note(key string) {
	hash := memory.HashKey(key)
	h.place(hash).Store(hash)
}

// take tells whether key was noted, once.
func (h *handedOn) take(key string) bool {
	hash := memory.HashKey(key)
	at := h.place(hash)
	return at.Load() == hash && at.CompareAndSwap(hash, 0)
}

// readPlain reads the key once, untracked, or waits for the next such read. It returns nil
// when a tracked read of the key is under way that may be joined: that spares a command.
func (q *query) readPlain() *sharedRead {
	sh := q.flights.shard(q.key)
	sh.mu.Lock()
	if f := sh.flights[q.key]; f != nil && f.joinable(q.r) {
		sh.mu.Unlock()
		return nil
	}
	before := sh.plain[q.key]
	switch {
	case before == nil:
		sh.plain[q.key] = q.newPlain()
		sh.mu.Unlock()
		return q.leadPlain(&q.plain, nil)
	case before.res != q.r: // a reload has made another resource of it
		sh.mu.Unlock()
		return q.getPlain()
	}
	round := before.next
	if round == nil {
		round = &plainRound{plainRead: plainRead{res: q.r}, turn: make(chan struct{}, 1), done: make(chan struct{})}
		before.next = round
	}
	round.waiting++
	sh.mu.Unlock()
	select {
	case <-round.done:
		if round.cut && q.ctx.Err() == nil {
			return q.readPlain()
		}
		return &round.seen
	case <-round.turn:
		return q.leadPlain(&round.plainRead, round)
	case <-q.ctx.Done():
		q.flights.leavePlain(q.key, round)
		return &sharedRead{result: result{err: ErrTimeout}}
	}
}

// newPlain is a plain read that the reader leads.
func (q *query) newPlain() *plainRead {
	q.plain = plainRead{res: q.r}
	return &q.plain
}

// beginPlain makes the reader lead a plain read of the key, one of several in one round
// trip, which endPlain ends. It returns false when another reader reads the key already.
func (q *query) beginPlain() bool {
	sh := q.flights.shard(q.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if f := sh.flights[q.key]; f != nil && f.joinable(q.r) || sh.plain[q.key] != nil {
		return false
	}
	sh.plain[q.key] = q.newPlain()
	return true
}

func (q *query) endPlain() { q.flights.endPlain(q.key, &q.plain, nil, nil) }

// leadPlain reads for the reader, and for its round if it has one.
func (q *query) leadPlain(p *plainRead, round *plainRound) (seen *sharedRead) {
	defer func() {
		if seen == nil { // a panic must not strand those who wait
			seen = &sharedRead{result: result{err: fmt.Errorf("%w: read was cut short", ErrUnavailable)}}
		}
		if round != nil {
			round.cut = seen.err != nil && q.ctx.Err() != nil
		}
		q.flights.endPlain(q.key, p, round, seen)
	}()
	return q.getPlain()
}

// getPlain asks the shared tier.
func (q *query) getPlain() *sharedRead {
	q.seen = sharedRead{sent: q.began} // no earlier than that; nothing asks more precisely of a plain read
	q.seen.Content, q.seen.err = q.tier.Value(q.ctx, q.key)
	q.tookPlain(&q.seen)
	return &q.seen
}

// tookPlain makes the answer of a plain read.
func (q *query) tookPlain(seen *sharedRead) {
	seen.untimed, seen.plain = true, true
	q.finished(q.r, q.key, &seen.result, unreported(&seen.Content), false)
	if e := seen.entry; e != nil && e.Large() {
		q.store.NoteSize(e, false)
	}
}

// getTimed reads the key by itself, with what is left of its lifetime.
func (q *query) getTimed() *sharedRead {
	seen := &sharedRead{sent: q.store.Now()}
	verify := q.marks(q.ctx, q.r, []string{q.key})
	seen.Content, seen.err = q.tier.Get(q.ctx, q.key)
	if verify != nil {
		seen.verified = verify(0, seen.Content)
	}
	q.finished(q.r, q.key, &seen.result, 0, false)
	return seen
}

// endPlain hands what was seen to the round, and the turn to the next one.
func (s *Flights) endPlain(key string, p *plainRead, round *plainRound, seen *sharedRead) {
	sh := s.shard(key)
	sh.mu.Lock()
	sh.turnPlain(key, p)
	sh.mu.Unlock()
	if round != nil {
		round.seen = *seen
		close(round.done)
	}
}

// turnPlain ends the plain read p: the round that has formed meanwhile has its turn. From
// here on readers form the one after it. The shard is locked.
func (sh *flightShard) turnPlain(key string, p *plainRead) {
	next := p.next
	if next == nil || next.waiting == 0 {
		delete(sh.plain, key)
		return
	}
	sh.plain[key] = &next.plainRead
	next.turn <- struct{}{}
}

// leavePlain is called by a reader of a round that is out of time. If it was the last one,
// and the turn is the round's, nobody would send, and nobody come after it.
func (s *Flights) leavePlain(key string, round *plainRound) {
	sh := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if round.waiting--; round.waiting > 0 {
		return
	}
	select {
	case <-round.turn:
		sh.turnPlain(key, &round.plainRead)
	default: // a reader has it, or the read before it is not over
	}
}

// unreported are the flags of what a server has told that may lack the latest writes.
func unreported(found *shared.Content) (flags uint8) {
	if found.Unreported {
		return memory.FlagUntracked
	}
	return 0
}

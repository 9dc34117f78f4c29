package handlers

import (
	"context"
	"time"

	"hearth/cache"
	"hearth/internal/source"
)

// read answers GET and HEAD of one record.
func (s *Server) read(res *resource) operation {
	return func(r *request) error {
		key, args, err := res.locate(r.RequestCtx)
		if err != nil {
			return err
		}
		sc := s.scratch.Get().(*scratch)
		defer s.scratch.Put(sc)
		if done, err := s.readFresh(r, res, sc, key, args); done {
			return err
		}
		// Memory first: an unusual spelling or a second parameter brought the
		// request here, and hits are answered even when no more work fits.
		sc.buf = append(sc.buf[:0], key...)
		if hit, err := s.readHit(r, res, sc, args); hit {
			return err
		}
		return s.readThrough(r, res, sc, key, args)
	}
}

// readMiss reads a record for which the fast path found no entry that it could
// answer with. Where a limit without permits in hand had to be asked first, the
// fast path has not looked, and a large entry it leaves alone: then memory comes
// first here, too, or a hit would need a place that only work beyond memory needs.
func (s *Server) readMiss(r *request, m miss) error {
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	sc.buf = m.key.One(sc.buf[:0], m.raw)
	key, args := string(sc.buf), m.args()
	if !m.admitted { // else the fast path has seen that nothing is asked for
		if done, err := s.readFresh(r, m.resource, sc, key, args); done {
			return err
		}
	}
	if !m.admitted || m.large {
		if hit, err := s.readHit(r, m.resource, sc, args); hit {
			return err
		}
	}
	return s.readThrough(r, m.resource, sc, key, args)
}

// readHit answers from memory if it can. The key is in sc.buf. It does for unusual
// requests and large entries what the fast path does for all others: a hit is counted
// as one of memory, and takes no place among the work beyond it.
func (s *Server) readHit(r *request, res *resource, sc *scratch, args source.Args) (hit bool, err error) {
	if r.Request.Header.PeekCanonical(headerIfMatch) != nil {
		return false, nil // a condition that may refuse the answer; see answer
	}
	found, counted, elapsed := s.answerFound(r, res, sc, args)
	if !found {
		return false, nil
	}
	if r.counted = counted; !counted {
		return true, answersOverBudget()
	}
	r.rates.write(&r.Response.Header)
	s.logIfWatched(r.RequestCtx, cache.TierMemory, elapsed)
	return true, nil
}

// answerFound looks the key in sc.buf up and answers with what it finds, under one pin.
func (s *Server) answerFound(r *request, res *resource, sc *scratch, args source.Args) (found, counted bool, elapsed time.Duration) {
	pin := s.memory.Pin(uint32(sc.stripe))
	defer pin.Release()
	hit, ttl := s.memory.Look(res.Resource, sc.buf, r.Time())
	if !hit.Found() {
		return false, false, 0
	}
	if hit.RefreshDue(ttl) && s.memory.TakeRefresh(res.Resource, sc.buf, hit) {
		s.memory.Refresh(res.Resource, string(sc.buf), args, hit.Entry())
	}
	if hit.Large() {
		s.memory.CountLarge(sc.buf, hit)
	}
	elapsed, counted = s.answerHit(r.RequestCtx, res, sc, hit, ttl)
	return true, counted, elapsed
}

// readThrough asks the tiers behind memory. key and args alias no request. What the
// source cannot be asked for is refused first, since no tier can have it. Then a
// place is taken, then budget for a value that is known to be large: in this order,
// a request that gets no place has taken nothing that others wait for.
func (s *Server) readThrough(r *request, res *resource, sc *scratch, key string, args source.Args) error {
	if err := res.refused(args); err != nil {
		return err
	}
	ctx, err := r.startWork(r.Time())
	if err != nil {
		// Copies that are untracked, or not fresh any more, are no hits. Here they
		// are better than no answer, and marked.
		if answer, ok := s.memory.Memory(res.Resource, key, args); ok {
			return s.answer(r, res, sc, answer)
		}
		return err
	}
	defer r.endWork()
	answer, err := s.readReserved(r.withCaller(ctx, res), res, key, args, nil)
	if err != nil {
		return res.redirectToCanonical(err)
	}
	return s.answer(r, res, sc, answer)
}

// readReserved reads with budget for a value that is known to be large, which is returned
// before the answer is written: that is counted by itself. d is nil for a reader that asks
// for nothing more than everybody gets.
func (s *Server) readReserved(ctx context.Context, res *resource, key string, args source.Args, d *cache.Demand) (cache.Answer, error) {
	release, ok := s.memory.Reserve(key)
	if !ok {
		return cache.Answer{}, answersOverBudget()
	}
	defer release()
	if d != nil {
		return s.reads.ReadFresh(ctx, res.Resource, key, args, *d)
	}
	return s.reads.Read(ctx, res.Resource, key, args)
}

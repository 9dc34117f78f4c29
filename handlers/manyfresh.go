package handlers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hearth/cache"
	"hearth/internal/source"
)

// manyFresh is readFresh for a many-read: what is asked for is asked of each record. Their
// number, and so that of the reads at a time, is bounded by server.max_many.
func (s *Server) manyFresh(r *request, res *resource, keys []string, args []source.Args) (done bool, err error) {
	d := s.demandOf(r)
	each, any, err := s.sinceEach(d, keys)
	if err != nil {
		return true, err
	}
	if !any {
		s.toldOrdinary(d)
		return false, nil
	}
	ctx, err := r.startWork(time.Now())
	if err != nil {
		return true, s.told(r, d, err)
	}
	defer r.endWork()
	ctx = r.withCaller(ctx, res)
	answers, err := s.readEach(ctx, res, keys, args, each)
	if errors.Is(err, cache.ErrNotAllowed) && !d.entitled {
		s.waive(&d)
		if each, any, _ = s.sinceEach(d, keys); !any {
			s.toldOrdinary(d)
			return false, nil
		}
		answers, err = s.readEach(ctx, res, keys, args, each)
	}
	if err = s.told(r, d, err); err != nil {
		return true, err
	}
	if age, known := oldest(answers); known && d.asked != 0 {
		r.writeAge(age)
	}
	return true, s.writeMany(r, res, answers)
}

// sinceEach is since for each of the keys. any tells whether something is demanded of one.
func (s *Server) sinceEach(d demand, keys []string) (each []cache.Demand, any bool, err error) {
	if d.asked == 0 && d.versions == nil { // nearly always
		return nil, false, nil
	}
	each = make([]cache.Demand, len(keys))
	for i, key := range keys {
		demands := false
		if each[i], demands, err = s.since(d, key); err != nil {
			return nil, false, err
		}
		any = any || demands
	}
	return each, any, nil
}

// readEach reads each key once, side by side. One failure fails all, as one request has one
// status; what is no record of that name is missing, as in ReadMany.
func (s *Server) readEach(ctx context.Context, res *resource, keys []string, args []source.Args, each []cache.Demand) ([]cache.Answer, error) {
	release, err := s.claimMany(keys)
	if err != nil {
		return nil, err
	}
	defer release()
	answers, errs := make([]cache.Answer, len(keys)), make([]error, len(keys))
	first := make(map[string]int, len(keys))
	var all sync.WaitGroup
	for i, key := range keys {
		if _, twice := first[key]; twice {
			continue
		}
		first[key] = i
		all.Go(func() {
			answers[i], errs[i] = s.reads.ReadFresh(ctx, res.Resource, key, args[i], each[i])
			if _, other := errors.AsType[*source.SpellingError](errs[i]); !other {
				return
			}
			var missing []cache.Answer
			if missing, errs[i] = s.reads.ReadMany(ctx, res.Resource, keys[i:i+1], args[i:i+1]); errs[i] == nil {
				answers[i] = missing[0]
			}
		})
	}
	all.Wait()
	for i, key := range keys {
		answers[i] = answers[first[key]]
	}
	return answers, errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// oldest is the age of an array of answers: that of the oldest, if all are known.
func oldest(answers []cache.Answer) (age time.Duration, known bool) {
	for i := range answers {
		one, known := ageOf(&answers[i])
		if !known {
			return 0, false
		}
		age = max(age, one)
	}
	return age, true
}

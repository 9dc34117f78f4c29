package handlers

import (
	"bytes"
	"iter"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/param"
	"hearth/internal/source"
)

// many answers GET /user?user_id=1&user_id=2 with an array of the single
// answers in the order asked. It has no entity tag: one would have to be
// hashed per request, and hardly two requests ask for the same list.
func (s *Server) many(res *resource) operation {
	return func(r *request) error {
		keys, args, err := res.locateMany(r.URI().QueryString(), s.config.MaxMany)
		if err != nil {
			return err
		}
		if done, err := s.manyFresh(r, res, keys, args); done {
			return err
		}
		// What memory has in whole needs no place among the work beyond it.
		if answers, ok := s.memory.MemoryMany(res.Resource, keys, args, false); ok {
			return s.writeMany(r, res, answers)
		}
		ctx, err := r.startWork(time.Now())
		if err != nil {
			if answers, ok := s.memory.MemoryMany(res.Resource, keys, args, true); ok {
				return s.writeMany(r, res, answers)
			}
			return err
		}
		defer r.endWork()
		release, err := s.claimMany(keys)
		if err != nil {
			return err
		}
		answers, err := func() ([]cache.Answer, error) {
			defer release()
			return s.reads.ReadMany(r.withCaller(ctx, res), res.Resource, keys, args)
		}()
		if err != nil {
			return err
		}
		return s.writeMany(r, res, answers)
	}
}

// locateMany reads all values of the one parameter out of a query. Members of
// the query that have other names are ignored, as they are on other paths. Repeated
// values stay: the answer has one element for each, in the order asked. Nothing it
// returns aliases the query.
func (res *resource) locateMany(query []byte, limit int) (keys []string, args []source.Args, err error) {
	p := res.params[0]
	// As many as there can be: each takes at least its name and two signs.
	most := min(bytes.Count(query, equals), len(query)/(len(p.Name)+2)+1, limit)
	keys, args = make([]string, 0, most), make([]source.Args, 0, most)
	values := make(source.Args, 0, most) // args are parts of it
	for len(query) > 0 {
		var member []byte
		member, query, _ = bytes.Cut(query, ampersand)
		rawName, raw, _ := bytes.Cut(member, equals)
		if string(rawName) != p.Name { // as it nearly always is written
			if name, ok := param.Decode(rawName, true); !ok || name != p.Name {
				continue
			}
		}
		if len(keys) == limit {
			return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
				"query parameter "+strconv.Quote(p.Name)+" is given more than "+strconv.Itoa(limit)+" times; split the request, or raise server.max_many")
		}
		v, err := parseParam(p, raw, "query", len(keys))
		if err != nil {
			return nil, nil, err
		}
		values = append(values, v.Arg)
		last := len(values) - 1
		arg := values[last : last+1 : last+1] // nobody appends to it and writes into the next
		if err := res.refused(arg); err != nil {
			return nil, nil, err
		}
		keys = append(keys, res.key.Of(v))
		args = append(args, arg)
	}
	if len(keys) == 0 {
		return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
			"query parameter "+strconv.Quote(p.Name)+" is missing; give it once for each record, as in ?"+p.Name+"=1&"+p.Name+"=2")
	}
	return keys, args, nil
}

var ampersand, equals = []byte("&"), []byte("=")

// claimMany takes budget for those values of keys that are known to be large,
// before they are read: with thousands of readers at once, afterwards would be too
// late. All or none: what was taken is returned when one does not fit.
func (s *Server) claimMany(keys []string) (release func(), err error) {
	if exceeds(keys, s.memory.KnownSize, s.memory.Budget().Size()) {
		return nil, tooManyBytes()
	}
	var claims []func()
	release = func() {
		for _, one := range claims {
			one()
		}
	}
	for _, key := range keys {
		one, ok := s.memory.Reserve(key)
		if !ok {
			release()
			return nil, answersOverBudget()
		}
		claims = append(claims, one)
	}
	return release, nil
}

// exceeds tells whether all of them together, each counted once, have more than
// most bytes. A list may name one record many times; its bytes are sent from one copy.
func exceeds[T comparable](all []T, bytes func(T) int64, most int64) bool {
	sum := int64(0)
	for _, one := range all {
		sum += bytes(one)
	}
	if sum <= most { // nearly always, and then repetitions do not matter
		return false
	}
	sum = 0
	seen := make(map[T]bool, len(all))
	for _, one := range all {
		if !seen[one] {
			sum += bytes(one)
		}
		seen[one] = true
	}
	return sum > most
}

// tooManyBytes is the answer to a many-read that would never be answered, however
// often it is tried again.
func tooManyBytes() *problem {
	return refuse(fasthttp.StatusUnprocessableEntity,
		"the records asked for have more bytes together than the server may have on their way (a part of memory.budget); ask for fewer at a time")
}

// writeMany answers with the array. One answer that is stale or untracked makes the
// whole of it unfit for a cache in front.
func (s *Server) writeMany(r *request, res *resource, answers []cache.Answer) error {
	cacheControl, farthest := res.cacheControl, 0
	for i := range answers {
		if answers[i].Detail != "" {
			cacheControl = valueNoStore
		}
		if answers[i].Tier > answers[farthest].Tier {
			farthest = i
		}
	}
	r.tier = answers[farthest].Tier
	s.cors.vary(&r.Response.Header, false, res.reusable)
	// One field for many answers: it tells of the one that came from farthest.
	r.Response.Header.SetCanonical(headerCacheStatus, answers[farthest].AppendStatus(nil))
	r.json(fasthttp.StatusOK, cacheControl, nil)
	if body := s.setParts(&r.Response, res.list(answers)); body != nil {
		return s.countMany(r, res, body, answers)
	}
	return nil
}

// list are the parts of an array of single answers. It is a sequence and no slice,
// because a small array is copied together and needs no list of its parts.
func (res *resource) list(answers []cache.Answer) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		separator := listBegin
		for i := range answers {
			front, back := res.parts(answers[i])
			if !yield(separator) || !yield(front) || !yield(back) {
				return
			}
			separator = listNext
		}
		yield(listEnd)
	}
}

var listBegin, listNext, listEnd = []byte("["), []byte(","), []byte("]")

// countMany counts a large array in the budget for answers: its large entries one
// by one, since others may send them, too, and its small ones together. A HEAD sends
// nothing, but is refused where the GET could never be answered. On an error another
// answer takes the body's place, which closes it.
func (s *Server) countMany(r *request, res *resource, body *largeBody, answers []cache.Answer) error {
	if budget := s.memory.Budget().Size(); int64(body.size) > budget {
		entries := make([]*cache.Entry, len(answers))
		for i := range answers {
			entries[i] = answers[i].Entry
		}
		if exceeds(entries, (*cache.Entry).Size, budget) {
			return tooManyBytes()
		}
	}
	if r.IsHead() {
		return nil
	}
	small := 0
	for i := range answers {
		if e := answers[i].Entry; !e.Large() {
			front, _ := res.parts(answers[i])
			small += len(front)
		} else if !body.hold(e) {
			return answersOverBudget()
		}
	}
	if !body.take(small) {
		return answersOverBudget()
	}
	return nil
}

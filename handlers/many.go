package handlers

import (
	"bytes"
	"strconv"

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
		// What memory has in whole needs no place among the work beyond it.
		if answers, ok := s.memory.MemoryMany(res.Resource, keys, args, false); ok {
			return s.writeMany(r, res, answers)
		}
		ctx, done, err := r.startWork()
		if err != nil {
			if answers, ok := s.memory.MemoryMany(res.Resource, keys, args, true); ok {
				return s.writeMany(r, res, answers)
			}
			return err
		}
		defer done()
		claim, err := s.claimMany(keys)
		if err != nil {
			return err
		}
		answers, err := func() ([]cache.Answer, error) {
			defer claim()
			return s.reads.ReadMany(r.withCaller(ctx, res), res.Resource, keys, args)
		}()
		if err != nil {
			return err
		}
		return s.writeMany(r, res, answers)
	}
}

// claimMany takes room for those values of keys that are known to be large.
func (s *Server) claimMany(keys []string) (done func(), err error) {
	if exceeds(keys, s.memory.KnownSize, s.memory.Room().Size()) {
		return nil, tooManyBytes()
	}
	claims := make([]func(), 0, len(keys))
	done = func() {
		for _, claim := range claims {
			claim()
		}
	}
	for _, key := range keys {
		claim, ok := s.memory.Claim(key)
		if !ok {
			done()
			return nil, answersOverBudget()
		}
		claims = append(claims, claim)
	}
	return done, nil
}

// exceeds tells whether all of them together, each counted once, have more than
// most bytes.
func exceeds[T comparable](all []T, bytes func(T) int64, most int64) bool {
	sum := int64(0)
	for _, one := range all {
		sum += bytes(one)
	}
	if sum <= most { // nearly always
		return false
	}
	seen := make(map[T]bool, len(all))
	sum = 0
	for _, one := range all {
		if !seen[one] {
			sum += bytes(one)
		}
		seen[one] = true
	}
	return sum > most
}

// tooMuch is the answer to a many-read that would never be answered, however
// often it is tried again.
func tooManyBytes() *problem {
	return refuse(fasthttp.StatusUnprocessableEntity,
		"the records asked for have more bytes together than the server may have on their way (a part of memory.budget); ask for fewer at a time")
}

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
	// One field for many answers: it tells of the one that came from farthest.
	r.Response.Header.SetCanonical(headerCacheStatus, answers[farthest].AppendStatus(nil))
	r.json(fasthttp.StatusOK, cacheControl, nil)
	return s.setList(r, res, answers)
}

// setList makes an array of answers the body. What is large is sent as a parcel,
// if there is room for it.
func (s *Server) setList(r *request, res *resource, answers []cache.Answer) error {
	size := len(answers) + 1
	for i := range answers {
		front, back := res.parts(answers[i])
		size += len(front) + len(back)
	}
	if size < largeBodyFrom {
		body := append(make([]byte, 0, size), '[')
		for i := range answers {
			if i > 0 {
				body = append(body, ',')
			}
			front, back := res.parts(answers[i])
			body = append(append(body, front...), back...)
		}
		r.Response.SetBodyRaw(append(body, ']'))
		return nil
	}
	if int64(size) > s.memory.Room().Size() {
		entries := make([]*cache.Entry, len(answers))
		for i := range answers {
			entries[i] = answers[i].Entry
		}
		if exceeds(entries, (*cache.Entry).Size, s.memory.Room().Size()) {
			return tooManyBytes()
		}
	}
	p, small, counts := &largeBody{memory: s.memory}, 0, !r.IsHead()
	between := listBegin
	for i := range answers {
		p.add(between)
		front, back := res.parts(answers[i])
		switch e := answers[i].Entry; {
		case !e.Large():
			small += len(front)
		case counts && !p.hold(e):
			_ = p.Close()
			return answersOverBudget()
		}
		p.add(front)
		p.add(back)
		between = listNext
	}
	p.add(listEnd)
	if counts && !p.take(small) {
		_ = p.Close()
		return answersOverBudget()
	}
	r.Response.SetBodyStream(p, p.size)
	return nil
}

var listBegin, listNext, listEnd = []byte("["), []byte(","), []byte("]")

// locateMany reads all values of the one parameter out of a query. Members of
// the query that have other names are ignored, as they are on other paths.
func (res *resource) locateMany(query []byte, limit int) (keys []string, args []source.Args, err error) {
	p := res.params[0]
	name := strconv.Quote(p.Name)
	for len(query) > 0 {
		var member []byte
		member, query, _ = bytes.Cut(query, ampersand)
		rawName, rawText, _ := bytes.Cut(member, equals)
		if n, ok := param.Decode(rawName, true); !ok || n != p.Name {
			continue
		}
		if len(keys) == limit {
			return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
				"query parameter "+name+" is given more than "+strconv.Itoa(limit)+" times; split the request, or raise server.max_many")
		}
		text, ok := param.Decode(rawText, true)
		if !ok {
			return nil, nil, refuse(fasthttp.StatusBadRequest,
				"query parameter "+name+" has a percent sign without two hexadecimal digits; write %25 for the sign itself")
		}
		v, reason := p.Parse(text)
		if reason != "" {
			return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
				"query parameter "+name+", value "+strconv.Itoa(len(keys))+" counted from 0, "+reason)
		}
		if err := res.refused(source.Args{v.Arg}); err != nil {
			return nil, nil, err
		}
		keys = append(keys, res.key.Of(v))
		args = append(args, source.Args{v.Arg})
	}
	if len(keys) == 0 {
		return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
			"query parameter "+name+" is missing; give it once for each record, as in ?"+p.Name+"=1&"+p.Name+"=2")
	}
	return keys, args, nil
}

var ampersand, equals = []byte("&"), []byte("=")

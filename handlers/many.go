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
func (s *Server) many(rec *record) operation {
	return func(c *call) error {
		keys, args, err := rec.locateMany(c.URI().QueryString(), s.config.MaxMany)
		if err != nil {
			return err
		}
		// What memory has in whole needs no place among the work beyond it.
		if answers, ok := s.memory.MemoryMany(rec.Resource, keys, args); ok {
			s.writeMany(c, rec, answers)
			return nil
		}
		ctx, done, err := c.work()
		if err != nil {
			return err
		}
		defer done()
		answers, err := s.reads.ReadMany(c.tell(ctx, rec), rec.Resource, keys, args)
		if err != nil {
			return err
		}
		s.writeMany(c, rec, answers)
		return nil
	}
}

func (s *Server) writeMany(c *call, rec *record, answers []cache.Answer) {
	body := []byte{'['}
	cacheControl, farthest := rec.cacheControl, 0
	for i := range answers {
		if i > 0 {
			body = append(body, ',')
		}
		body = rec.appendAnswer(body, answers[i])
		if answers[i].Detail != "" {
			cacheControl = valueNoStore
		}
		if answers[i].Tier > answers[farthest].Tier {
			farthest = i
		}
	}
	c.tier = answers[farthest].Tier
	// One field for many answers: it tells of the one that came from farthest.
	c.Response.Header.SetCanonical(headerCacheStatus, answers[farthest].AppendStatus(nil))
	c.json(fasthttp.StatusOK, cacheControl, append(body, ']'))
}

// appendAnswer appends the body of a single answer, with null as the data of
// a missing record.
func (r *record) appendAnswer(dst []byte, a cache.Answer) []byte {
	switch {
	case !a.Entry.Missing():
		return append(dst, a.Body()...)
	case r.head == nil:
		return append(dst, "null"...)
	case a.FromDB:
		return append(append(dst, r.head...), `null,"source":"db"}`...)
	}
	return append(append(dst, r.head...), `null,"source":"cache"}`...)
}

// locateMany reads all values of the one parameter out of a query. Members of
// the query that have other names are ignored, as they are on other paths.
func (r *record) locateMany(query []byte, limit int) (keys []string, args []source.Args, err error) {
	p := r.params[0]
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
		keys = append(keys, r.key.Of(v))
		args = append(args, source.Args{v.Arg})
	}
	if len(keys) == 0 {
		return nil, nil, refuse(fasthttp.StatusUnprocessableEntity,
			"query parameter "+name+" is missing; give it once for each record, as in ?"+p.Name+"=1&"+p.Name+"=2")
	}
	return keys, args, nil
}

var ampersand, equals = []byte("&"), []byte("=")

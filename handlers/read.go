package handlers

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/param"
	"hearth/internal/source"
)

// read answers GET and HEAD of one record.
func (s *Server) read(rec *record) operation {
	return func(c *call) error {
		key, args, err := rec.locate(c)
		if err != nil {
			return err
		}
		sc := s.scratch.Get().(*scratch)
		defer s.scratch.Put(sc)
		// Memory first: an unusual spelling or a second parameter brought the
		// request here, and hits are answered even when no more work fits.
		sc.buf = append(sc.buf[:0], key...)
		if hit, err := s.readHit(c, rec, sc, args); hit {
			return err
		}
		return s.readThrough(c, rec, sc, key, args)
	}
}

// readHit answers from memory if it can. The key is in sc.buf.
func (s *Server) readHit(c *call, rec *record, sc *scratch, args source.Args) (hit bool, err error) {
	if c.Request.Header.PeekCanonical(headerIfMatch) != nil {
		return false, nil // a condition that may refuse the answer; see answer
	}
	entry, ttl := s.memory.Hit(rec.Resource, sc.buf, c.Time())
	if entry == nil {
		return false, nil
	}
	if entry.Due(ttl) && s.memory.TakeRefresh(rec.Resource, entry) {
		s.memory.Refresh(rec.Resource, string(sc.buf), args, entry)
	}
	if c.counted = s.answerHit(c.RequestCtx, rec, sc, entry, ttl); !c.counted {
		return true, congested()
	}
	c.rates.write(&c.Response.Header)
	return true, nil
}

// readMiss reads a record for which the fast path found no entry, or did not
// look for one: a limit without tokens in hand had to be asked first. Then
// memory comes first here, too, or a hit would need a place that only work
// beyond memory needs.
func (s *Server) readMiss(c *call, m miss) error {
	c.meter = m.meter
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	sc.buf = m.key.One(sc.buf[:0], m.raw)
	key, args := string(sc.buf), m.args()
	if !m.admitted || m.large {
		if hit, err := s.readHit(c, m.record, sc, args); hit {
			return err
		}
	}
	return s.readThrough(c, m.record, sc, key, args)
}

// readThrough asks the tiers behind memory. key and args alias no request.
func (s *Server) readThrough(c *call, rec *record, sc *scratch, key string, args source.Args) error {
	if err := rec.refused(args); err != nil {
		return err
	}
	ctx, done, err := c.work()
	if err != nil {
		// Copies that are untracked, or not fresh any more, are no hits: better
		// than none they are all the same, and marked.
		if answer, ok := s.memory.Memory(rec.Resource, key, args); ok {
			return s.answer(c, rec, sc, answer)
		}
		return err
	}
	defer done()
	claim, ok := s.memory.Claim(key)
	if !ok {
		return congested()
	}
	answer, err := func() (cache.Answer, error) {
		defer claim() // before it is written: then the answer has room of its own
		return s.reads.Read(c.tell(ctx, rec), rec.Resource, key, args)
	}()
	if err != nil {
		return rec.readElsewhere(err)
	}
	return s.answer(c, rec, sc, answer)
}

// answer writes what the tiers found, unless If-Match refuses it. A missing
// record is 404 whatever the condition (RFC 9110, 13.2.1).
func (s *Server) answer(c *call, rec *record, sc *scratch, a cache.Answer) error {
	if !a.Entry.Missing() {
		if err := holds(&c.Request.Header, tagOf(c.RequestCtx, sc, a)); err != nil {
			return err
		}
	}
	return s.writeAnswer(c, rec, sc, a)
}

// refused is the answer to values that the source cannot be asked for. Nothing
// is looked up for them, and nothing kept: there is no such record to know of.
func (r *record) refused(args source.Args) error {
	if r.choosy == nil {
		return nil
	}
	name := r.choosy.Refuses(args)
	if name == "" {
		return nil
	}
	return refuse(fasthttp.StatusUnprocessableEntity, "parameter "+strconv.Quote(name)+
		" must be one step of a path: without slashes, backslashes and control characters, also encoded ones, and not dots alone")
}

// writeAnswer shapes what the tiers found.
func (s *Server) writeAnswer(c *call, rec *record, sc *scratch, a cache.Answer) error {
	c.tier = a.Tier
	h := &c.Response.Header
	if !a.FromDB || a.Entry.Missing() {
		if s.writeEntry(c.RequestCtx, rec, sc, a.Entry) == hitCongested {
			return congested()
		}
	} else {
		// There is no compressed variant of what the first reader gets, but
		// there will be one under the same path.
		if a.Entry.Packs() {
			rec.shapes.packed.CopyTo(h)
		} else {
			rec.shapes.plain.CopyTo(h)
		}
		if !s.writeETag(c.RequestCtx, sc, a.Entry, false) {
			if front, back := a.Parts(); !s.setBody(c.RequestCtx, a.Entry, front, back) {
				return congested()
			}
		}
	}
	sc.buf = a.AppendStatus(sc.buf[:0])
	h.SetCanonical(headerCacheStatus, sc.buf)
	if a.Detail != "" {
		// Stale or unguarded: good for this reader, not for those behind a
		// cache in front.
		h.SetCanonical(headerCacheControl, valueNoStore)
	}
	return nil
}

// locate reads the path parameters of c and builds the record's key. Nothing
// it returns aliases the request.
func (r *record) locate(c *call) (key string, args source.Args, err error) {
	values := make([]param.Value, len(r.params))
	args = make(source.Args, len(r.params))
	for i, p := range r.params {
		raw, _ := c.UserValue(r.values[i]).(string)
		if raw == "" {
			return "", nil, notFound()
		}
		text, ok := param.Decode([]byte(raw), false)
		if !ok {
			return "", nil, refuse(fasthttp.StatusBadRequest,
				"path parameter "+strconv.Quote(p.Name)+" has a percent sign without two hexadecimal digits; write %25 for the sign itself")
		}
		v, reason := p.Parse(text)
		if reason != "" {
			return "", nil, refuse(fasthttp.StatusUnprocessableEntity, "path parameter "+strconv.Quote(p.Name)+" "+reason)
		}
		values[i], args[i] = v, v.Arg
	}
	return r.key.Of(values...), args, nil
}

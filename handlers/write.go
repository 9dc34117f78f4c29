package handlers

import (
	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// put stores the body as the record and answers with what the database made
// of it.
func (s *Server) put(rec *record) operation {
	return func(c *call) error {
		key, args, err := rec.locate(c)
		if err != nil {
			return err
		}
		p := preconditionsOf(&c.Request.Header) // before the body: its trailers are no header
		if err := refuseMedia(c); err != nil {
			return err
		}
		if err := p.hopeless(rec.Resource); err != nil { // no content changes that, so none is waited for
			return err
		}
		body, err := objectBody(c)
		if err != nil {
			return err
		}
		ctx, done, err := c.work()
		if err != nil {
			return err
		}
		defer done()
		answer, err := s.writes.Put(p.in(ctx, rec.Resource), rec.Resource, key, args, body)
		if err != nil {
			return rec.writeElsewhere(err)
		}
		s.writeStored(c, rec, answer)
		return nil
	}
}

// writeStored answers a PUT. The record may be missing even so: the resource's
// select need not find what its upsert wrote.
func (s *Server) writeStored(c *call, rec *record, a cache.Answer) {
	c.tier = cache.TierSource
	a.FromDB = true
	if !a.Entry.Missing() {
		c.Response.Header.SetCanonical(headerETag, a.Entry.AppendETag(nil))
	}
	c.json(fasthttp.StatusOK, valueNoStore, nil)
	front, back := rec.parts(a)
	size := len(front) + len(back)
	if size < parcelFrom {
		c.Response.SetBodyRaw(append(append(make([]byte, 0, size), front...), back...))
		return
	}
	p := &parcel{memory: s.memory}
	p.owe(size) // it is written, and has to be answered
	p.add(front)
	p.add(back)
	c.Response.SetBodyStream(p, p.size)
}

// remove deletes the record.
func (s *Server) remove(rec *record) operation {
	return func(c *call) error {
		key, args, err := rec.locate(c)
		if err != nil {
			return err
		}
		p := preconditionsOf(&c.Request.Header)
		if err := p.hopeless(rec.Resource); err != nil {
			return err
		}
		ctx, done, err := c.work()
		if err != nil {
			return err
		}
		defer done()
		if err := s.writes.Delete(p.in(ctx, rec.Resource), rec.Resource, key, args); err != nil {
			return rec.writeElsewhere(err)
		}
		c.tier = cache.TierSource
		c.SetStatusCode(fasthttp.StatusNoContent)
		c.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
		return nil
	}
}

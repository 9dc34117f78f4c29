package handlers

import (
	"context"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/source"
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
		body, err := objectBody(c)
		if err != nil {
			return err
		}
		ctx, done, err := c.work()
		if err != nil {
			return err
		}
		defer done()
		if err := s.meets(ctx, rec, key, args, p); err != nil {
			return err
		}
		answer, err := s.writes.Put(ctx, rec.Resource, key, args, body)
		if err != nil {
			return err
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
	c.json(fasthttp.StatusOK, valueNoStore, rec.appendAnswer(nil, a))
}

// remove deletes the record.
func (s *Server) remove(rec *record) operation {
	return func(c *call) error {
		key, args, err := rec.locate(c)
		if err != nil {
			return err
		}
		ctx, done, err := c.work()
		if err != nil {
			return err
		}
		defer done()
		if err := s.meets(ctx, rec, key, args, preconditionsOf(&c.Request.Header)); err != nil {
			return err
		}
		if err := s.writes.Delete(ctx, rec.Resource, key, args); err != nil {
			return err
		}
		c.tier = cache.TierSource
		c.SetStatusCode(fasthttp.StatusNoContent)
		c.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
		return nil
	}
}

// meets checks the conditions of a write (RFC 9110, 13.1). Another writer may
// come between the check and the write: conditions guard against forgotten
// work, not against a race of two writers.
func (s *Server) meets(ctx context.Context, rec *record, key string, args source.Args, p preconditions) error {
	if !p.exist() {
		return nil
	}
	var exists bool
	var etag []byte
	if p.needRecord() {
		a, err := s.reads.Read(ctx, rec.Resource, key, args)
		if err != nil {
			return err
		}
		exists, etag = !a.Entry.Missing(), a.Entry.AppendETag(nil)
	}
	if reason := p.refuse(exists, etag); reason != "" {
		return refuse(fasthttp.StatusPreconditionFailed, reason)
	}
	return nil
}

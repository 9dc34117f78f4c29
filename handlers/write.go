package handlers

import (
	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// put stores the body as the record and answers with what the database made
// of it.
func (s *Server) put(res *resource) operation {
	return func(r *request) error {
		key, args, err := res.locate(r)
		if err != nil {
			return err
		}
		p := preconditionsOf(&r.Request.Header) // before the body: its trailers are no header
		if err := refuseMedia(r); err != nil {
			return err
		}
		if err := p.unsatisfiable(res.Resource); err != nil { // no content changes that, so none is waited for
			return err
		}
		body, err := objectBody(r)
		if err != nil {
			return err
		}
		ctx, done, err := r.startWork()
		if err != nil {
			return err
		}
		defer done()
		answer, err := s.writes.Put(p.in(ctx, res.Resource), res.Resource, key, args, body)
		if err != nil {
			return res.refuseNonCanonical(err)
		}
		s.writeStored(r, res, answer)
		return nil
	}
}

// writeStored answers a PUT. The record may be missing even so: the resource's
// select need not find what its upsert wrote.
func (s *Server) writeStored(r *request, res *resource, a cache.Answer) {
	r.tier = cache.TierSource
	a.FromDB = true
	if !a.Entry.Missing() {
		r.Response.Header.SetCanonical(headerETag, a.Entry.AppendETag(nil))
	}
	r.json(fasthttp.StatusOK, valueNoStore, nil)
	front, back := res.parts(a)
	size := len(front) + len(back)
	if size < largeBodyFrom {
		r.Response.SetBodyRaw(append(append(make([]byte, 0, size), front...), back...))
		return
	}
	p := &largeBody{memory: s.memory}
	p.owe(size) // it is written, and has to be answered
	p.add(front)
	p.add(back)
	r.Response.SetBodyStream(p, p.size)
}

// remove deletes the record.
func (s *Server) remove(res *resource) operation {
	return func(r *request) error {
		key, args, err := res.locate(r)
		if err != nil {
			return err
		}
		p := preconditionsOf(&r.Request.Header)
		if err := p.unsatisfiable(res.Resource); err != nil {
			return err
		}
		ctx, done, err := r.startWork()
		if err != nil {
			return err
		}
		defer done()
		if err := s.writes.Delete(p.in(ctx, res.Resource), res.Resource, key, args); err != nil {
			return res.refuseNonCanonical(err)
		}
		r.tier = cache.TierSource
		r.SetStatusCode(fasthttp.StatusNoContent)
		r.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
		return nil
	}
}

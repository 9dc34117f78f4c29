package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// put stores the body as the record and answers with what the database made
// of it. The body is bytes of its own: the cache may go on with the write after the
// request is out of time and its buffers are used again.
func (s *Server) put(res *resource) operation {
	return writeOf(res, (*request).objectBody, func(ctx context.Context, r *request, key string, args source.Args, body jsonvalue.Node) error {
		answer, err := s.writes.Put(ctx, res.Resource, key, args, body)
		if err == nil {
			s.writeStored(r, res, answer)
			s.writeVersion(r, key)
		}
		return err
	})
}

// remove deletes the record. Content that a DELETE may have is not read, since it
// means nothing (RFC 9110, 9.3.5); finishConnection drops it.
func (s *Server) remove(res *resource) operation {
	return writeOf(res, nil, func(ctx context.Context, r *request, key string, args source.Args, _ jsonvalue.Node) error {
		err := s.writes.Delete(ctx, res.Resource, key, args)
		if err == nil {
			r.tier = cache.TierSource
			r.SetStatusCode(fasthttp.StatusNoContent)
			r.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
			s.writeVersion(r, key)
		}
		return err
	})
}

// writeVersion tells the client what to send back to read its write on any instance. It is
// called once the shared tier has confirmed the write: a write that is not confirmed has no
// version, since nobody could keep what it promises.
func (s *Server) writeVersion(r *request, keys ...string) {
	r.Response.Header.SetCanonical(headerVersion, []byte(s.fresh.versions.NewVersion(keys...)))
}

// writeOf does what all writes of one record have in common. readBody is nil for
// those that have none.
//
// What can be refused is refused as early as it is known. First what the header
// decides, so that nobody sends content for a 422, 415 or 412; conditions, too,
// because trailers count as fields once the content has been read, and a
// condition is no trailer. Then the body. A place for work is taken only then: a
// client that sends slowly must not hold one.
func writeOf(res *resource, readBody func(*request) (jsonvalue.Node, error), do func(ctx context.Context, r *request, key string, args source.Args, body jsonvalue.Node) error) operation {
	return func(r *request) error {
		key, args, err := res.locate(r.RequestCtx)
		if err != nil {
			return err
		}
		if readBody != nil {
			if err := refuseMedia(&r.Request.Header); err != nil {
				return err
			}
		}
		if err := res.refused(args); err != nil {
			return err
		}
		conditions := preconditionsOf(&r.Request.Header)
		if err := conditions.unsatisfiable(res.Resource); err != nil {
			return err
		}
		var body jsonvalue.Node
		if readBody != nil {
			if body, err = readBody(r); err != nil {
				return err
			}
		}
		ctx, err := r.startWork(time.Now())
		if err != nil {
			return err
		}
		defer r.endWork()
		if err := do(conditions.in(r.withCaller(ctx, res), res.Resource), r, key, args, body); err != nil {
			return res.refuseNonCanonical(err)
		}
		return nil
	}
}

// writeStored answers a PUT. The record may be missing even so: the resource's
// select need not find what its upsert wrote. A large answer is counted in the
// budget whether it fits or not: the record is written, and that has to be said.
func (s *Server) writeStored(r *request, res *resource, a cache.Answer) {
	r.tier = cache.TierSource
	if a.Entry == nil { // stored; what it is now, the origin did not tell
		r.SetStatusCode(fasthttp.StatusNoContent)
		r.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
		return
	}
	a.FromDB = true
	if !a.Entry.Missing() {
		r.Response.Header.SetCanonical(headerETag, a.Entry.AppendETag(nil))
	}
	r.json(fasthttp.StatusOK, valueNoStore, nil)
	front, back := res.parts(a)
	if body := s.setParts(&r.Response, slices.Values([][]byte{front, back})); body != nil {
		body.overdraw(body.size)
	}
}

package handlers

import (
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// batch stores many records of one resource, answering when every one of them
// is acknowledged. Nothing is stored unless all items are good.
func (s *Server) batch(res *resource) operation {
	return func(r *request) error {
		if err := refuseCoding(&r.Request.Header); err != nil {
			return err
		}
		media := mediaType(&r.Request.Header)
		lines := media == "application/x-ndjson" || media == "application/ndjson"
		if !lines && !isJSON(media) {
			return refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json or application/x-ndjson")
		}
		body, err := r.readBody()
		if err != nil {
			return err
		}
		// The items alias the body, which the cache may go on reading after a
		// timeout.
		b := batchBody{body: body, param: res.params[0], key: res.key, limit: s.config.MaxItems}
		if err := b.read(lines); err != nil {
			return err
		}
		return s.store(r, &b)
	}
}

func (s *Server) store(r *request, b *batchBody) error {
	if len(b.items) > 0 {
		ctx, done, err := r.startWork()
		if err != nil {
			return err
		}
		defer done()
		if errs := s.writes.Store(ctx, b.items); errs != nil {
			return b.failure(r, errs)
		}
	}
	body := strconv.AppendInt([]byte(`{"status":"success","count":`), int64(b.count), 10)
	r.json(fasthttp.StatusOK, valueNoStore, append(body, '}'))
	return nil
}

// failure answers when items were not acknowledged. With none stored because
// the tier is away, or refuses them all, it is that error which counts; else the client is told
// which items to send again.
func (b *batchBody) failure(r *request, errs []error) error {
	var first error
	failed, away := 0, 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if first == nil {
			first = err
		}
		failed++
		if problemOf(err).status > fasthttp.StatusBadGateway || errors.Is(err, cache.ErrRefused) {
			away++
		}
	}
	if failed == len(errs) && away == failed {
		return first
	}
	stored := 0
	var ids []byte
	for i, err := range errs {
		if err == nil {
			stored += b.times[i]
			continue
		}
		if len(ids) > 0 {
			ids = append(ids, ',')
		}
		ids = append(ids, b.ids[i]...)
	}
	body := strconv.AppendInt([]byte(`{"status":"partial","count":`), int64(stored), 10)
	body = append(append(append(body, `,"failed":[`...), ids...), "]}"...)
	r.cause = first
	r.json(fasthttp.StatusBadGateway, valueNoStore, body)
	return nil
}

package handlers

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// batch stores many records of one resource, answering when every one of them
// is acknowledged. Nothing is stored unless all items are good: the body is read to
// its end before the first item is sent. So a refusal can be mended and sent again
// as it is. Only a tier that fails in the middle leaves a part stored, and then the
// answer says which ids to send again.
func (s *Server) batch(res *resource, ttl time.Duration) operation {
	return func(r *request) error {
		if err := refuseCoding(&r.Request.Header); err != nil {
			return err
		}
		media := mediaType(&r.Request.Header)
		if !isNDJSON(media) && !isJSON(media) {
			return refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json or application/x-ndjson")
		}
		body, err := r.readBody()
		if err != nil {
			return err
		}
		// The items alias the body, which the cache may go on reading after a
		// timeout. That is allowed because the body aliases no request.
		b := batchBodies.Get().(*batchBody)
		defer b.release()
		b.body, b.param, b.key, b.limit = body, res.params[0], res.key, s.config.MaxItems
		if err := b.read(isNDJSON(media)); err != nil {
			return err
		}
		return s.store(r, b, ttl)
	}
}

// store sends the items, which live for ttl, 0 without end. An empty batch is a success
// that needs no tier.
func (s *Server) store(r *request, b *batchBody, ttl time.Duration) error {
	if len(b.items) > 0 {
		ctx, err := r.startWork(time.Now())
		if err != nil {
			return err
		}
		defer r.endWork()
		if errs := s.writes.Store(ctx, b.items, ttl); errs != nil {
			return b.failure(r, errs)
		}
		s.writeVersion(r, b.storedKeys()...)
	}
	body := strconv.AppendInt([]byte(`{"status":"success","count":`), int64(b.count), 10)
	r.json(fasthttp.StatusOK, valueNoStore, append(body, '}'))
	return nil
}

// maxVersionKeys bounds the keys that a version is asked for: more than a few of them, and
// it is one of every key.
const maxVersionKeys = 16

// storedKeys are the keys of the items, as many as matter.
func (b *batchBody) storedKeys() []string {
	keys := make([]string, 0, maxVersionKeys)
	for _, item := range b.items[:min(len(b.items), maxVersionKeys)] {
		keys = append(keys, item.Key)
	}
	return keys
}

// failure answers when items were not acknowledged. errs has one error per item, nil
// for those that are stored. If the tier is away, or
// refuses them all, that is the answer; else the client is told which items to
// send again.
func (b *batchBody) failure(r *request, errs []error) error {
	var first error
	var ids []byte
	stored, tierFailed := 0, true
	for i, err := range errs {
		if err == nil {
			stored += int(b.found[i].times)
			tierFailed = false
			continue
		}
		if first == nil {
			first = err
		}
		tierFailed = tierFailed && (problemOf(err).status > fasthttp.StatusBadGateway || errors.Is(err, cache.ErrRefused))
		ids = append(append(ids, b.found[i].id...), ',')
	}
	if tierFailed {
		return first
	}
	body := strconv.AppendInt([]byte(`{"status":"partial","count":`), int64(stored), 10)
	body = append(append(append(body, `,"failed":[`...), bytes.TrimSuffix(ids, comma)...), "]}"...)
	r.cause = first
	r.json(fasthttp.StatusBadGateway, valueNoStore, body)
	return nil
}

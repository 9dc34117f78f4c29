package handlers

import (
	"io"
	"iter"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// largeBody is the body of a large answer on its way. It is written part by part,
// from where the bytes lie. fasthttp closes it when all has been written, when the
// peer is gone, and when another answer is given in its place: until then what it
// is made of is counted in the cache's budget for answers, so that peers who do
// not read cannot take all memory.
type largeBody struct {
	memory  *cache.Cache
	parts   [][]byte
	entries []*cache.Entry // of which Send was called
	bytes   int64          // taken from the budget besides
	size    int
}

// largeBodyFrom is the size from which on an answer is sent as a largeBody. The
// kernel buffers what is smaller.
const largeBodyFrom = 64 << 10

// add appends a part. It is not copied, so nobody may change it while the answer is
// on its way; parts are bytes of entries, constants, or the answer's own.
func (b *largeBody) add(part []byte) {
	if len(part) > 0 {
		b.parts = append(b.parts, part)
		b.size += len(part)
	}
}

// hold counts an entry of which parts are to be sent. false means that it does not
// fit in the budget. The cache counts an entry once for all answers that send it, and
// only while memory does not keep it, which its own budget counts.
func (b *largeBody) hold(e *cache.Entry) bool {
	if !b.memory.BeginSend(e) {
		return false
	}
	b.entries = append(b.entries, e)
	return true
}

// take counts bytes that belong to no large entry. false means that they do not
// fit in the budget. A list of many small records is as large as one large one.
func (b *largeBody) take(bytes int) bool {
	if !b.memory.Budget().Take(int64(bytes)) {
		return false
	}
	b.bytes += int64(bytes)
	return true
}

// overdraw counts bytes whether they fit in the budget or not, for an answer that
// must be given.
func (b *largeBody) overdraw(bytes int) {
	b.memory.Budget().Overdraw(int64(bytes))
	b.bytes += int64(bytes)
}

// Close implements io.Closer. It may be called more than once.
func (b *largeBody) Close() error {
	for _, e := range b.entries {
		b.memory.EndSend(e)
	}
	b.memory.Budget().Return(b.bytes)
	b.entries, b.parts, b.bytes = nil, nil, 0
	return nil
}

// WriteTo implements io.WriterTo.
func (b *largeBody) WriteTo(w io.Writer) (n int64, err error) {
	for _, part := range b.parts {
		m, err := w.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Read implements io.Reader, for readers that do not know WriteTo.
func (b *largeBody) Read(p []byte) (n int, err error) {
	for n < len(p) && len(b.parts) > 0 {
		m := copy(p[n:], b.parts[0])
		n += m
		if b.parts[0] = b.parts[0][m:]; len(b.parts[0]) == 0 {
			b.parts = b.parts[1:]
		}
	}
	if n == 0 && len(b.parts) == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// setParts makes parts the body of an answer. Small ones are copied together, and
// nil is returned; large ones are sent as they lie, and still have to be counted
// in the budget: who calls knows what of it is an entry's and counted with that. If
// it does not fit, the caller answers with an error instead, which closes the body.
func (s *Server) setParts(resp *fasthttp.Response, parts iter.Seq[[]byte]) *largeBody {
	size := 0
	for part := range parts {
		size += len(part)
	}
	if size < largeBodyFrom {
		body := make([]byte, 0, size)
		for part := range parts {
			body = append(body, part...)
		}
		resp.SetBodyRaw(body)
		return nil
	}
	b := &largeBody{memory: s.memory}
	for part := range parts {
		b.add(part)
	}
	resp.SetBodyStream(b, b.size)
	return b
}

// setEntry makes front and back the body of an answer; front belongs to the entry.
// false means that a large entry does not fit in the budget.
func (s *Server) setEntry(ctx *fasthttp.RequestCtx, e *cache.Entry, front, back []byte) bool {
	if e.Large() {
		return s.setLarge(ctx, e, "", front, string(back))
	}
	if len(back) > 0 {
		front = append(append(make([]byte, 0, len(front)+len(back)), front...), back...)
	}
	ctx.Response.SetBodyRaw(front)
	return true
}

// setLarge makes head, data and tail the body of an answer; data belongs to the entry,
// which is large. false means that it does not fit in the budget.
func (s *Server) setLarge(ctx *fasthttp.RequestCtx, e *cache.Entry, head string, data []byte, tail string) bool {
	b := &largeBody{memory: s.memory}
	if !ctx.IsHead() && !b.hold(e) { // to a HEAD only the length is told
		return false
	}
	b.add([]byte(head))
	b.add(data)
	b.add([]byte(tail))
	ctx.Response.SetBodyStream(b, b.size)
	return true
}

// sentBytes is how many bytes follow the header of an answer. Body is only asked of
// an answer that is no stream: it would read the stream to its end.
func sentBytes(ctx *fasthttp.RequestCtx) int {
	status := ctx.Response.StatusCode()
	if ctx.IsHead() || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified {
		return 0
	}
	if b, ok := ctx.Response.BodyStream().(*largeBody); ok {
		return b.size
	}
	return len(ctx.Response.Body())
}

// answersOverBudget is the answer while large answers on their way take all the
// memory there is for them.
func answersOverBudget() *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, retry: true,
		detail: "answers on their way to other clients take as much memory as the server may use for them; try again after the time in Retry-After"}
}

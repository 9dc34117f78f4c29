package handlers

import (
	"io"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// parcel is a large answer on its way. As the body of a response it is written
// part by part, from where the bytes lie. fasthttp closes it when all has been
// written, when the peer is gone, and when another answer is given in its place:
// only then is what it was made of accounted for no more.
type largeBody struct {
	memory  *cache.Cache
	parts   [][]byte
	entries []*cache.Entry // of which Send was called
	bytes   int64          // taken from the room besides
	size    int
}

// parcelFrom is the size from which on an answer is sent as a parcel.
const largeBodyFrom = 64 << 10

// add appends bytes that belong to no large entry.
func (p *largeBody) add(part []byte) {
	if len(part) > 0 {
		p.parts = append(p.parts, part)
		p.size += len(part)
	}
}

// hold notes that parts of the entry are to be sent. false means that there is
// no room for it.
func (p *largeBody) hold(e *cache.Entry) bool {
	if !p.memory.Send(e) {
		return false
	}
	p.entries = append(p.entries, e)
	return true
}

// take takes room for what belongs to no large entry.
func (p *largeBody) take(bytes int) bool {
	if !p.memory.Room().Take(int64(bytes)) {
		return false
	}
	p.bytes += int64(bytes)
	return true
}

// owe takes room whether it is there or not.
func (p *largeBody) owe(bytes int) {
	p.memory.Room().Add(int64(bytes))
	p.bytes += int64(bytes)
}

// Close implements io.Closer. It may be called more than once.
func (p *largeBody) Close() error {
	for _, e := range p.entries {
		p.memory.Sent(e)
	}
	p.memory.Room().Give(p.bytes)
	p.entries, p.parts, p.bytes = nil, nil, 0
	return nil
}

// WriteTo implements io.WriterTo.
func (p *largeBody) WriteTo(w io.Writer) (n int64, err error) {
	for _, part := range p.parts {
		m, err := w.Write(part)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Read implements io.Reader, for whoever does not know WriteTo.
func (p *largeBody) Read(b []byte) (n int, err error) {
	for n < len(b) && len(p.parts) > 0 {
		m := copy(b[n:], p.parts[0])
		n += m
		if p.parts[0] = p.parts[0][m:]; len(p.parts[0]) == 0 {
			p.parts = p.parts[1:]
		}
	}
	if n == 0 && len(p.parts) == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// congested is the answer while large answers on their way take all the memory
// there is for them.
func answersOverBudget() *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, retry: true,
		detail: "answers on their way to other clients take as much memory as the server may use for them; try again after the time in Retry-After"}
}

package handlers

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// wireHead is the header of one kind of answer as text: what fasthttp would send, cut where
// the values go that differ from record to record. The last cut ends with the line of
// Cache-Status; what follows depends on the request.
type wireHead struct {
	toLength []byte // from the status line on; nil: the answer has no content
	toTag    []byte // nil: it has no validator
	toTTL    []byte
	date     int  // where in the first of them the value of Date begins
	origin   bool // the header has the fields of CORS already
}

// wireHeads are those of a resource's memory hits.
type wireHeads struct {
	plain, unpacked, packed     wireHead // without a gzip variant; with one that is not chosen; with one that is
	plainMatched, packedMatched wireHead // 304, of the first and of the other two
	missing                     wireHead
}

// dateBytes is the length of every date of HTTP.
const dateBytes = len("Mon, 02 Jan 2006 15:04:05 GMT")

// newWireHeads cuts the headers that fasthttp makes of p, which is complete.
func newWireHeads(p *preparedHeaders) (w wireHeads) {
	record := func(h *fasthttp.ResponseHeader, coding []byte) wireHead {
		return newWireHead(h, true, func(h *fasthttp.ResponseHeader) {
			h.SetContentLength(markedLength)
			h.SetContentEncodingBytes(coding)
		})
	}
	matched := func(h *fasthttp.ResponseHeader) wireHead {
		return newWireHead(h, true, func(h *fasthttp.ResponseHeader) {
			h.SetStatusCode(fasthttp.StatusNotModified)
			h.SetContentTypeBytes(nil)
		})
	}
	w.plain, w.unpacked, w.packed = record(&p.plain, nil), record(&p.packed, nil), record(&p.packed, valueGzip)
	w.plainMatched, w.packedMatched = matched(&p.plain), matched(&p.packed)
	w.missing = newWireHead(&p.missing, false, func(h *fasthttp.ResponseHeader) { h.SetContentLength(markedLength) })
	return w
}

// What stands in a header where it is cut.
const (
	markedLength = 1234567890
	markedTag    = "<tag>"
	markedTTL    = "<ttl>"
)

// newWireHead cuts what fasthttp makes of h once change was applied to it.
func newWireHead(h *fasthttp.ResponseHeader, tagged bool, change func(h *fasthttp.ResponseHeader)) (w wireHead) {
	var full fasthttp.ResponseHeader
	h.CopyTo(&full)
	change(&full)
	if tagged {
		full.SetCanonical(headerETag, []byte(markedTag))
	}
	full.SetCanonical(headerCacheStatus, append(bytes.Clone(valueMemoryHit), markedTTL...))
	text := full.AppendBytes(nil)
	cut := func(mark string) (before []byte) {
		before, after, found := bytes.Cut(text, []byte(mark))
		if !found {
			panic("BUG: a header without " + mark)
		}
		text = after
		return bytes.Clone(before)
	}
	const date = "\r\nDate: "
	w.date = bytes.Index(text, []byte(date)) + len(date)
	w.origin = len(full.PeekCanonical(headerAllowOrigin)) > 0
	if full.ContentLength() == markedLength {
		w.toLength = cut(strconv.Itoa(markedLength))
	}
	if tagged {
		w.toTag = cut(markedTag)
	}
	w.toTTL = cut(markedTTL)
	first := w.toLength
	if first == nil {
		first = w.toTag
	}
	if string(text) != "\r\n\r\n" || w.date < len(date) || len(first) < w.date+dateBytes {
		panic("BUG: a header that ends with " + strconv.Quote(string(text)))
	}
	return w
}

// dateLine keeps the value of Date for a second. It belongs to one processor at a time.
type dateLine struct {
	second int64
	text   [dateBytes]byte
}

// at is the value at a time.
func (d *dateLine) at(now time.Time) []byte {
	if second := now.Unix(); second != d.second {
		d.second = second
		fasthttp.AppendHTTPDate(d.text[:0], now)
	}
	return d.text[:]
}

// appendHit appends the whole answer to p with a fresh record of memory: what answerHit
// and fasthttp make of it, byte for byte. id is the X-Request-Id that it carries, empty for
// none. The caller holds the pin under which the record was looked up. For the answer of
// another tier a is given, and hit is its record.
func (s *Server) appendHit(dst []byte, sc *scratch, res *resource, p *framing.Plain, hit cache.View, ttl time.Duration, date, id []byte, a *cache.Answer) ([]byte, hitCode) {
	code, heads := hitOK, &res.headers.wire
	var head *wireHead
	var front, data, back = "", res.notFound, ""
	if hit.Missing() {
		code, head = hitMissing, &heads.missing
	} else {
		var compressed []byte
		front, data, back, compressed = hit.Parts(res.Shape)
		packed := compressed != nil && acceptsGzip(p.AcceptEncoding)
		varies := compressed != nil || a != nil && a.Entry.Compressible() // another answer may be compressed
		sc.buf = appendTag(sc.buf[:0], hit, packed)
		matched := len(p.IfNoneMatch) > 0 && matchesWeakly(p.IfNoneMatch, sc.buf)
		switch {
		case matched && !varies:
			code, head = hitNotModified, &heads.plainMatched
		case matched:
			code, head = hitNotModified, &heads.packedMatched
		case packed:
			head = &heads.packed
			front, data, back = "", compressed, ""
		case varies:
			head = &heads.unpacked
		default:
			head = &heads.plain
		}
	}
	at := len(dst) + head.date
	if head.toLength != nil {
		dst = append(dst, head.toLength...)
		dst = strconv.AppendUint(dst, uint64(len(front)+len(data)+len(back)), 10)
	}
	if head.toTag != nil {
		dst = append(dst, head.toTag...)
		dst = append(dst, sc.buf...)
	}
	if a == nil {
		dst = append(dst, head.toTTL...)
		dst = strconv.AppendInt(dst, int64(ttl/time.Second), 10)
	} else {
		dst = a.AppendStatus(append(dst, head.toTTL[:len(head.toTTL)-len(valueMemoryHit)]...))
	}
	copy(dst[at:], date)
	if len(p.Origin) > 0 && !head.origin {
		dst = s.cors.appendFields(dst, p.Origin)
	}
	if len(id) > 0 {
		dst = append(dst, "\r\nX-Request-Id: "...)
		dst = append(dst, id...)
	}
	dst = append(dst, "\r\n\r\n"...)
	if p.Head || code == hitNotModified {
		return dst, code
	}
	dst = append(dst, front...)
	dst = append(dst, data...)
	return append(dst, back...), code
}

// appendFields appends what writeHeaders would set for an origin, each field behind the end
// of the line before it.
func (p *corsPolicy) appendFields(dst, origin []byte) []byte {
	allowed := p.allowed(origin)
	if len(allowed) == 0 {
		return dst
	}
	dst = append(dst, "\r\nAccess-Control-Allow-Origin: "...)
	dst = append(dst, allowed...)
	return append(dst, "\r\nAccess-Control-Expose-Headers: "+exposed...)
}

package handlers

import (
	"bytes"
	"context"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
	"hearth/internal/source"
)

// Why conditions are refused.
const (
	reasonWeak = "if-match compares strongly and the entity tags of this resource are weak, so no tag can match: send the tag of a read in If-Record-Match, " +
		"or If-Match: * to require that the record exists"
	reasonAbsent   = "if-match asks for an existing record and there is none"
	reasonChanged  = "if-match names no state that the record has now: read it again"
	reasonRecord   = "if-record-match names no state that the record has now: read it again"
	reasonExcept   = "if-none-match excludes the record as it is now"
	reasonNoRecord = "if-record-match is a condition of a PUT or DELETE of one record; leave it out"
	reasonNoTag    = "if-match names a state, and what is asked for has none; leave it out"
)

// joined is a list field with all its lines as one (RFC 9110, 5.3), not aliasing
// h; nil if there is none. An empty line is present all the same, so its list is
// empty but not nil.
func joined(h *fasthttp.RequestHeader, name string) []byte {
	lines := h.PeekAll(name)
	if len(lines) == 0 {
		return nil
	}
	return append([]byte{}, bytes.Join(lines, comma)...)
}

// isNotModified judges If-None-Match for an answer with this validator. It is
// called for memory hits, whose field has one line as a rule. GET with a match
// is 304 (RFC 9110, 13.1.2).
func isNotModified(h *fasthttp.RequestHeader, etag []byte) bool {
	list := h.PeekCanonical(headerIfNoneMatch)
	if len(list) == 0 {
		return false
	}
	if matchesWeakly(list, etag) {
		return true
	}
	lines := h.PeekAll(nameIfNoneMatch)
	return len(lines) > 1 && matchesWeakly(bytes.Join(lines, comma), etag)
}

// checkIfMatch judges If-Match for an answer to a GET or HEAD that would be 200
// with this validator; nil: it has none. The field is the first condition to be
// judged (RFC 9110, 13.2.2), so callers ask before they look at If-None-Match.
// What would be another status than 200 is answered as it is (13.2.1).
func checkIfMatch(h *fasthttp.RequestHeader, etag []byte) error {
	if h.PeekCanonical(headerIfMatch) == nil { // nearly always
		return nil
	}
	list := joined(h, nameIfMatch)
	switch {
	case isStar(list), etag != nil && matchesStrongly(list, etag):
		return nil
	case etag == nil:
		return refuse(fasthttp.StatusPreconditionFailed, reasonNoTag)
	case bytes.HasPrefix(etag, weakMark):
		return refuse(fasthttp.StatusPreconditionFailed, reasonWeak)
	}
	return refuse(fasthttp.StatusPreconditionFailed, reasonChanged)
}

// untagged wraps an operation on what has no validator and no present state
// that a write could depend on, such as a batch: conditions are refused there,
// too, and never ignored. A client that sets one relies on it; only "*" holds for
// whatever is there. If-None-Match is no such condition for a read: without a tag
// the full answer is always right.
func untagged(op operation) operation {
	return func(r *request) error {
		if err := checkIfMatch(&r.Request.Header, nil); err != nil {
			return err
		}
		if len(r.Request.Header.PeekAll(nameRecordMatch)) > 0 {
			return refuse(fasthttp.StatusPreconditionFailed, reasonNoRecord)
		}
		return op(r)
	}
}

// preconditions are the conditions of a write. All lines of a field count: losing
// one could let a write through that its sender wanted stopped.
type preconditions struct {
	match, noneMatch []byte // nil: absent
	record           []byte // If-Record-Match
}

// preconditionsOf copies the conditions out of a header, before the content is read:
// fasthttp puts trailers among the fields, and a trailer is no condition (RFC 9110,
// 6.5.1).
func preconditionsOf(h *fasthttp.RequestHeader) preconditions {
	return preconditions{match: joined(h, nameIfMatch), noneMatch: joined(h, nameIfNoneMatch), record: joined(h, nameRecordMatch)}
}

// unsatisfiable says why the conditions cannot hold, whatever the record is, or
// cannot be read. Asked before the write begins, it spares the record its guard,
// which would cost it its copies. A list of If-None-Match has to be well-formed to
// its end: a tag that was not read could be the one that forbids the write.
func (p preconditions) unsatisfiable(res *cache.Resource) error {
	strong := func(_ []byte, weak bool) bool { return !weak }
	switch {
	case p.match != nil && !isStar(p.match) && (res.Envelope != "" || !anyTag(p.match, strong)):
		return refuse(fasthttp.StatusPreconditionFailed, reasonWeak)
	case p.noneMatch != nil && !isStar(p.noneMatch) && !isTags(p.noneMatch):
		return refuse(fasthttp.StatusBadRequest, `if-none-match must be * or a list of entity tags, each in quotes: "a", W/"b"`)
	}
	return nil
}

// in puts the conditions into the context of the write, whose own transaction
// judges them: only there does the record stand still.
func (p preconditions) in(ctx context.Context, res *cache.Resource) context.Context {
	if p.match == nil && p.noneMatch == nil && p.record == nil {
		return ctx
	}
	return source.Condition(func(record []byte) string { return p.refusedBy(res, record) }).In(ctx)
}

// refusedBy says which condition the record as it is does not meet; nil is a
// missing record. A tag stands for the record's data and shape: it does not matter
// from which tier, and in which coding, it was read.
func (p preconditions) refusedBy(res *cache.Resource, record []byte) (reason string) {
	exists, opaque := record != nil, ""
	if exists {
		opaque = res.TagOf(record)
	}
	is := func(tag []byte, _ bool) bool {
		text := string(tag[1 : len(tag)-1])
		return exists && (text == opaque || res.Envelope == "" && text == opaque+cache.GzipSuffix)
	}
	strong := func(tag []byte, weak bool) bool { return !weak && is(tag, weak) }
	switch {
	case p.match != nil && !exists:
		return reasonAbsent
	case p.match != nil && !isStar(p.match) && !anyTag(p.match, strong):
		return reasonChanged
	case p.record != nil && !(exists && isStar(p.record)) && !anyTag(p.record, is):
		return reasonRecord
	case p.noneMatch != nil && (exists && isStar(p.noneMatch) || anyTag(p.noneMatch, is)):
		return reasonExcept
	}
	return ""
}

// Lists of entity tags, as If-Match and If-None-Match have them (RFC 9110, 8.8.3
// and 13.1), and Accept-Encoding. These functions are called for memory hits:
// they walk over the bytes of the request and allocate nothing, which no library
// for these fields does.

// weakMark begins a weak tag.
var weakMark = []byte("W/")

// opaqueTag strips the mark of a weak tag.
func opaqueTag(etag []byte) []byte { return bytes.TrimPrefix(etag, weakMark) }

// isStar tells whether a list is "*", which stands for any present state. Beside a
// tag a star is malformed.
func isStar(list []byte) bool {
	list = framing.Trim(list)
	return len(list) == 1 && list[0] == '*'
}

// anyTag tells whether is holds for one of the tags of a list, which it gets with
// quotes and without the mark of a weak one. What follows a malformed element is
// not looked at. No tag is found there, so a read is answered in full and a write
// is refused: both are safe.
func anyTag(list []byte, is func(tag []byte, weak bool) bool) bool {
	list = framing.Trim(list)
	for len(list) > 0 {
		switch list[0] {
		case ',', ' ', '\t':
			list = list[1:]
			continue
		}
		weak := bytes.HasPrefix(list, weakMark)
		list = opaqueTag(list)
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if is(list[:end+2], weak) {
			return true
		}
		list = framing.Trim(list[end+2:])
		if len(list) > 0 && list[0] != ',' {
			return false
		}
	}
	return false
}

// isTags tells whether list is well-formed from end to end: empty elements and blanks
// around commas included, as RFC 9110, 5.6.1, has recipients read lists.
func isTags(list []byte) bool {
	// A tag that no list can have is found at the end if all before it is read.
	const last = `,"\x00"`
	return anyTag(append(bytes.Clone(list), last...), func(tag []byte, _ bool) bool { return string(tag) == last[1:] })
}

// matchesWeakly tells whether list is "*" or holds etag by weak comparison, which
// If-None-Match takes (RFC 9110, 13.1.2).
func matchesWeakly(list, etag []byte) bool {
	opaque := opaqueTag(etag)
	return isStar(list) || anyTag(list, func(tag []byte, _ bool) bool { return bytes.Equal(tag, opaque) })
}

// matchesStrongly tells whether list is "*" or holds etag by strong comparison,
// which If-Match takes (RFC 9110, 13.1.1): neither is weak.
func matchesStrongly(list, etag []byte) bool {
	return isStar(list) || anyTag(list, func(tag []byte, weak bool) bool { return !weak && bytes.Equal(tag, etag) })
}

// acceptsGzip tells whether an Accept-Encoding field (RFC 9110, 12.5.3) allows
// gzip: by name, or by "*", with a weight other than zero. Preferences among the
// codings do not count, as there is but one.
func acceptsGzip(field []byte) bool {
	wildcard := false
	for len(field) > 0 {
		var element []byte
		element, field, _ = bytes.Cut(field, comma)
		coding, weight, _ := bytes.Cut(element, semicolon)
		coding = framing.Trim(coding)
		switch {
		case bytes.EqualFold(coding, valueGzip), bytes.EqualFold(coding, valueXGzip):
			return !isZeroWeight(weight)
		case len(coding) == 1 && coding[0] == '*':
			wildcard = !isZeroWeight(weight)
		}
	}
	return wildcard
}

var valueXGzip = []byte("x-gzip") // the same coding (RFC 9110, 8.4.1.3)

// isZeroWeight tells whether a parameter is q=0, q=0.0 and so on.
func isZeroWeight(p []byte) bool {
	p = framing.Trim(p)
	return len(p) >= 3 && p[0]|0x20 == 'q' && p[1] == '=' && p[2] == '0' && len(bytes.Trim(p[3:], ".0")) == 0
}

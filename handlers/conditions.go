package handlers

import (
	"bytes"
	"context"

	"github.com/valyala/fasthttp"

	"hearth/cache"
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

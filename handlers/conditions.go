package handlers

import (
	"bytes"
	"context"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/source"
)

// etagListed tells whether list, the value of an If-None-Match field (RFC
// 9110, 13.1.2), is "*" or holds etag by weak comparison.
func etagListed(list, etag []byte) bool {
	opaque := opaqueTag(etag)
	return isStar(list) || anyTag(list, func(tag []byte, _ bool) bool { return bytes.Equal(tag, opaque) })
}

// listedFurther is etagListed for a field of several lines.
func listedFurther(h *fasthttp.RequestHeader, etag []byte) bool {
	lines := h.PeekAll("If-None-Match")
	return len(lines) > 1 && etagListed(bytes.Join(lines, []byte(",")), etag)
}

// etagMatched tells whether list, the value of an If-Match field (RFC 9110,
// 13.1.1), is "*" or holds etag by strong comparison: neither is weak.
func etagMatched(list, etag []byte) bool {
	return isStar(list) || anyTag(list, func(tag []byte, weak bool) bool { return !weak && bytes.Equal(tag, etag) })
}

// anyTag tells whether is holds for one of the tags of a list, which it gets with
// quotes and without the mark of a weak one. What follows a malformed element
// is not looked at: no tag is then found there, and the answer is a full one, or a
// refusal, which is never wrong.
func anyTag(list []byte, is func(tag []byte, weak bool) bool) bool {
	list = trimSpace(list)
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
		list = trimSpace(list[end+2:])
		if len(list) > 0 && list[0] != ',' {
			return false
		}
	}
	return false
}

// isTags tells whether list is well-formed from end to end. That of a write's
// If-None-Match has to be: what was not understood would be let through.
func isTags(list []byte) bool {
	// Two tags that no list has: found at its end, after all that it has.
	const end = `,"\x00"`
	return anyTag(append(bytes.Clone(list), end...), func(tag []byte, _ bool) bool { return string(tag) == end[1:] })
}

// opaqueTag strips the mark of a weak validator.
func opaqueTag(etag []byte) []byte {
	return bytes.TrimPrefix(etag, weakMark)
}

var weakMark = []byte("W/")

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// acceptsGzip tells whether an Accept-Encoding field (RFC 9110, 12.5.3)
// allows gzip: by name, or by "*", with a weight other than zero.
func acceptsGzip(field []byte) bool {
	wildcard := false
	for len(field) > 0 {
		var element []byte
		if i := bytes.IndexByte(field, ','); i >= 0 {
			element, field = field[:i], field[i+1:]
		} else {
			element, field = field, nil
		}
		coding, weight := element, []byte(nil)
		if i := bytes.IndexByte(element, ';'); i >= 0 {
			coding, weight = element[:i], element[i+1:]
		}
		coding = trimSpace(coding)
		switch {
		case equalFold(coding, "gzip"), equalFold(coding, "x-gzip"):
			return !zeroWeight(weight)
		case len(coding) == 1 && coding[0] == '*':
			wildcard = !zeroWeight(weight)
		}
	}
	return wildcard
}

// zeroWeight tells whether a parameter is q=0, q=0.0 and so on.
func zeroWeight(p []byte) bool {
	p = trimSpace(p)
	if len(p) < 3 || p[0]|0x20 != 'q' || p[1] != '=' || p[2] != '0' {
		return false
	}
	for _, c := range p[3:] {
		if c != '.' && c != '0' {
			return false
		}
	}
	return true
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] && b[i] != lower[i] {
			return false
		}
	}
	return true
}

// preconditions are the conditions of a request. All field lines count: losing
// one could let a write through that its sender wanted stopped.
type preconditions struct {
	match, noneMatch []byte // nil: absent
	record           []byte // If-Record-Match
}

func preconditionsOf(h *fasthttp.RequestHeader) preconditions {
	return preconditions{match: joined(h, "If-Match"), noneMatch: joined(h, "If-None-Match"), record: joined(h, "If-Record-Match")}
}

// joined is a list field with all its lines (RFC 9110, 5.3), not aliasing h.
func joined(h *fasthttp.RequestHeader, name string) []byte {
	lines := h.PeekAll(name)
	if len(lines) == 0 {
		return nil
	}
	// An empty line is present all the same, so the result must not be nil.
	return append([]byte{}, bytes.Join(lines, []byte(","))...)
}

func isStar(list []byte) bool {
	list = trimSpace(list)
	return len(list) == 1 && list[0] == '*'
}

// Refusals of preconditions.
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

// hopeless says why the conditions of a write cannot hold, whatever the record
// is, or cannot be read. It spares the record its guard.
func (p preconditions) unsatisfiable(r *cache.Resource) error {
	strong := func(_ []byte, weak bool) bool { return !weak }
	switch {
	case p.match != nil && !isStar(p.match) && (r.Envelope != "" || !anyTag(p.match, strong)):
		return refuse(fasthttp.StatusPreconditionFailed, reasonWeak)
	case p.noneMatch != nil && !isStar(p.noneMatch) && !isTags(p.noneMatch):
		return refuse(fasthttp.StatusBadRequest, `if-none-match must be * or a list of entity tags, each in quotes: "a", W/"b"`)
	}
	return nil
}

// in puts the conditions of a write into its context, for the write's own
// transaction to judge. A tag stands for the record's data and shape: it does not
// matter from which tier, and in which coding, it was read.
func (p preconditions) in(ctx context.Context, r *cache.Resource) context.Context {
	if p.match == nil && p.noneMatch == nil && p.record == nil {
		return ctx
	}
	return source.Condition(func(record []byte) string {
		var is func(tag []byte, weak bool) bool
		if record == nil {
			is = func([]byte, bool) bool { return false }
		} else {
			opaque := r.TagOf(record)
			is = func(tag []byte, _ bool) bool {
				tag = tag[1 : len(tag)-1]
				return string(tag) == opaque || r.Envelope == "" && string(tag) == opaque+cache.PackedMark
			}
		}
		strong := func(tag []byte, weak bool) bool { return !weak && is(tag, false) }
		switch {
		case p.match != nil && record == nil:
			return reasonAbsent
		case p.match != nil && !isStar(p.match) && !anyTag(p.match, strong):
			return reasonChanged
		case p.record != nil && !(isStar(p.record) && record != nil) && !anyTag(p.record, is):
			return reasonRecord
		case p.noneMatch != nil && (isStar(p.noneMatch) && record != nil || anyTag(p.noneMatch, is)):
			return reasonExcept
		}
		return ""
	}).In(ctx)
}

// holds judges If-Match for an answer to a GET or HEAD that would be 200 with
// this validator; nil: it has none (RFC 9110, 13.2.2, step 1). What would be
// another status is answered as it is (13.2.1).
func checkIfMatch(h *fasthttp.RequestHeader, etag []byte) error {
	if h.PeekCanonical(headerIfMatch) == nil {
		return nil
	}
	list := joined(h, "If-Match")
	switch {
	case isStar(list), etag != nil && etagMatched(list, etag):
		return nil
	case etag == nil:
		return refuse(fasthttp.StatusPreconditionFailed, reasonNoTag)
	case etag[0] == 'W':
		return refuse(fasthttp.StatusPreconditionFailed, reasonWeak)
	}
	return refuse(fasthttp.StatusPreconditionFailed, reasonChanged)
}

// untagged wraps an operation on what has no validator and no present state
// that a write could depend on, such as a batch: conditions are refused there,
// too, and never ignored.
func untagged(op operation) operation {
	return func(r *request) error {
		if err := checkIfMatch(&r.Request.Header, nil); err != nil {
			return err
		}
		if len(r.Request.Header.PeekAll("If-Record-Match")) > 0 {
			return refuse(fasthttp.StatusPreconditionFailed, reasonNoRecord)
		}
		return op(r)
	}
}

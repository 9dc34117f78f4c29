package handlers

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// etagListed tells whether list, the value of an If-None-Match field (RFC
// 9110, 13.1.2), is "*" or holds etag by weak comparison. What follows a
// malformed element is not looked at: the answer is then a full one, which is
// never wrong.
func etagListed(list, etag []byte) bool {
	list = trimSpace(list)
	if len(list) == 1 && list[0] == '*' {
		return true
	}
	opaque := opaqueTag(etag)
	for len(list) > 0 {
		switch list[0] {
		case ',', ' ', '\t':
			list = list[1:]
			continue
		}
		if len(list) >= 2 && list[0] == 'W' && list[1] == '/' {
			list = list[2:]
		}
		if len(list) == 0 || list[0] != '"' {
			return false
		}
		end := bytes.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if bytes.Equal(list[:end+2], opaque) {
			return true
		}
		list = trimSpace(list[end+2:])
		if len(list) > 0 && list[0] != ',' {
			return false
		}
	}
	return false
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

// preconditions are the conditions a write depends on. All field lines count:
// losing one could let a write through that its sender wanted stopped.
type preconditions struct {
	match, noneMatch []byte // nil: absent
}

func preconditionsOf(h *fasthttp.RequestHeader) preconditions {
	return preconditions{match: joined(h, "If-Match"), noneMatch: joined(h, "If-None-Match")}
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

func (p preconditions) exist() bool { return p.match != nil || p.noneMatch != nil }

// needRecord tells whether the verdict depends on the present record. A list
// of tags in If-Match does not: If-Match compares strongly, the tags given out
// here are weak, so none of them can match (RFC 9110, 8.8.3.2).
func (p preconditions) needRecord() bool {
	return p.exist() && (p.match == nil || isStar(p.match))
}

func isStar(list []byte) bool {
	list = trimSpace(list)
	return len(list) == 1 && list[0] == '*'
}

// refuse returns why the write must not happen, or "". exists and etag
// describe the present record; they are ignored unless needRecord.
func (p preconditions) refuse(exists bool, etag []byte) string {
	switch {
	case p.match != nil && !isStar(p.match):
		return "if-match compares strongly and the entity tags of this server are weak, so no tag can match: send If-Match: * to require that the record exists"
	case p.match != nil && !exists:
		return "if-match asks for an existing record and there is none"
	case p.noneMatch != nil && exists && etagListed(p.noneMatch, etag):
		return "if-none-match excludes the record as it is now"
	}
	return ""
}

package handlers

import (
	"bytes"

	"hearth/internal/framing"
)

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

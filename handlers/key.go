package handlers

import "strconv"

// keyTemplate builds the key of a record from its parameters' segments.
//
// An encoded segment holds none of ":", "{", "}" and "%" but the one that
// starts an escape, and encoding is one-to-one. So no id can reach into
// another record's key, nor open or close the braces that tell a cluster which
// node a key lives on.
type keyTemplate []keyPart

// keyPart is a literal, or with param >= 0 the segment of that parameter.
type keyPart struct {
	literal string
	param   int
}

// newKeyTemplate resolves the names in parts.
func newKeyTemplate(parts []Part, params []parameter) keyTemplate {
	t := make(keyTemplate, 0, len(parts))
	for _, p := range parts {
		if p.Param == "" {
			t = append(t, keyPart{literal: p.Literal, param: -1})
			continue
		}
		index := -1
		for i := range params {
			if params[i].name == p.Param {
				index = i
			}
		}
		if index < 0 {
			panic("BUG: a key template names " + strconv.Quote(p.Param) + ", which is no parameter of the path")
		}
		t = append(t, keyPart{param: index})
	}
	return t
}

// one appends the key of a record with a single parameter to dst. It is the
// form of the fast path and allocates only when dst is too small.
func (t keyTemplate) one(dst, segment []byte) []byte {
	for i := range t {
		if t[i].param < 0 {
			dst = append(dst, t[i].literal...)
		} else {
			dst = append(dst, segment...)
		}
	}
	return dst
}

// all returns the key for any number of parameters.
func (t keyTemplate) all(values []value) string {
	var dst []byte
	for i := range t {
		if t[i].param < 0 {
			dst = append(dst, t[i].literal...)
		} else {
			dst = append(dst, values[t[i].param].segment...)
		}
	}
	return string(dst)
}

// safeByte tells which bytes stand for themselves in a key.
func safeByte(c byte) bool {
	return c-'a' < 26 || c-'A' < 26 || c-'0' < 10 || c == '.' || c == '_' || c == '~' || c == '@' || c == '-'
}

// encodeSegment percent-encodes every byte that is not safe, with upper-case
// digits (RFC 3986, 2.1).
func encodeSegment(text string) string {
	escapes := 0
	for i := range len(text) {
		if !safeByte(text[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return text
	}
	const digits = "0123456789ABCDEF"
	dst := make([]byte, 0, len(text)+2*escapes)
	for i := range len(text) {
		if c := text[i]; safeByte(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(dst)
}

package param

import (
	"strconv"
	"strings"
)

// Key builds the keys of one resource from its parameters' segments.
//
// An encoded segment holds none of ":", "{", "}" and "%" but the one that
// starts an escape, and encoding is one-to-one. So no id can reach into
// another record's key, nor open or close the braces that tell a cluster which
// node a key lives on.
type Key struct {
	parts  []keyPart
	params []Param
}

// keyPart is a literal, or with param >= 0 the segment of that parameter.
type keyPart struct {
	literal string
	param   int
}

// NewKey resolves the names in parts, which are those of params.
func NewKey(parts []Part, params []Param) Key {
	k := Key{params: params}
	for _, p := range parts {
		if p.Param == "" {
			k.parts = append(k.parts, keyPart{literal: p.Literal, param: -1})
			continue
		}
		index := -1
		for i := range params {
			if params[i].Name == p.Param {
				index = i
			}
		}
		if index < 0 {
			panic("BUG: a key template names " + strconv.Quote(p.Param) + ", which is no parameter of the path")
		}
		k.parts = append(k.parts, keyPart{param: index})
	}
	return k
}

// One appends the key of a record with a single parameter to dst. It is the
// form of the fast path and allocates only when dst is too small.
func (k *Key) One(dst, segment []byte) []byte {
	for i := range k.parts {
		if k.parts[i].param < 0 {
			dst = append(dst, k.parts[i].literal...)
		} else {
			dst = append(dst, segment...)
		}
	}
	return dst
}

// Of returns the key for any number of parameters.
func (k *Key) Of(values ...Value) string {
	var dst []byte
	for i := range k.parts {
		if k.parts[i].param < 0 {
			dst = append(dst, k.parts[i].literal...)
		} else {
			dst = append(dst, values[k.parts[i].param].Segment...)
		}
	}
	return string(dst)
}

// Matches tells whether text is the key of some record.
func (k *Key) Matches(text string) bool { return k.walk(text, func(int, Value) bool { return true }) }

// Read is the reverse of Of: the values that make text, in the order of the parameters. ok is
// false if text is the key of no record, or does not tell all of them.
func (k *Key) Read(text string) (values []Value, ok bool) {
	values, read := make([]Value, len(k.params)), 0
	ok = k.walk(text, func(i int, v Value) bool {
		if values[i].Arg != nil {
			return values[i] == v // one parameter twice
		}
		values[i] = v
		read++
		return true
	})
	return values, ok && read == len(values)
}

// walk calls take with each value in text, and the index of its parameter. It returns false
// if text is the key of no record, or take does.
func (k *Key) walk(text string, take func(param int, v Value) bool) bool {
	for i, part := range k.parts {
		if part.param < 0 {
			var ok bool
			if text, ok = strings.CutPrefix(text, part.literal); !ok {
				return false
			}
			continue
		}
		end := k.end(i, text)
		if end < 0 {
			return false
		}
		v, ok := k.params[part.param].ofSegment(text[:end])
		if !ok || !take(part.param, v) {
			return false
		}
		text = text[end:]
	}
	return text == ""
}

// end returns where the value of the parameter at parts[i] ends in text, which
// begins with it, or a negative number.
func (k *Key) end(i int, text string) int {
	p := k.params[k.parts[i].param]
	rest := k.parts[i+1:]
	switch {
	case len(rest) == 0:
		return len(text)
	// A value of the last parameter is all but that literal.
	case len(rest) == 1: // nothing but a literal: the value may hold it, too
		return len(text) - len(rest[0].literal)
	case p.Type == UUID:
		return min(len(uuidForm), len(text))
	}
	// Another parameter comes: between the two stands a byte that no value of
	// this one contains (see Ambiguous), so where it first occurs is its place.
	between, set := rest[0].literal, p.Type.inKeys()
	for at := range len(between) {
		if !set.has(between[at]) {
			return strings.IndexByte(text[min(1, len(text)):], between[at]) + 1 - at
		}
	}
	return -1
}

// ofSegment is the value that segment is the canonical encoding of.
func (p Param) ofSegment(segment string) (v Value, ok bool) {
	text, ok := Decode([]byte(segment), false)
	if !ok {
		return v, false
	}
	v, reason := p.Parse(text)
	return v, reason == "" && v.Segment == segment
}

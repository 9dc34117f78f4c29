package handlers

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is the type of a path parameter.
type Kind uint8

// The kinds of parameters. The zero Kind is none, so that a forgotten one
// shows at start-up.
const (
	_      Kind = iota
	Int         // int64
	String      // UTF-8 without control characters
	UUID        // RFC 9562 in its hyphenated form
)

// maxSegment bounds a parameter in bytes after its encoding for the key: keys
// are repeated in every tier, and a longer id is an attack or a mistake.
const maxSegment = 512

// value is a validated parameter: what goes into the key, and what is bound
// in SQL.
type value struct {
	segment string
	arg     any // int64 or string
}

// parameter is a named, typed part of a path.
type parameter struct {
	name string
	kind Kind
}

// parse validates text, which is decoded already, and makes it canonical. The
// reason is "" or says to a client what text must be; it never repeats text.
func (p parameter) parse(text string) (v value, reason string) {
	switch {
	case text == "":
		return value{}, "must not be empty"
	case len(text) > maxSegment:
		return value{}, "must be at most 512 bytes long once it is percent-encoded"
	}
	switch p.kind {
	case Int:
		return parseInt(text)
	case UUID:
		return parseUUID(text)
	case String:
		return parseString(text)
	}
	panic("BUG: parameter " + strconv.Quote(p.name) + " has no kind")
}

func parseInt(text string) (value, string) {
	n, err := strconv.ParseInt(text, 10, 64)
	// ParseInt takes a plus sign; two spellings of a number in use are one
	// too many, and in a query "+1" is a space and a one.
	if err != nil || text[0] == '+' {
		return value{}, "must be an integer between " + strconv.FormatInt(math.MinInt64, 10) +
			" and " + strconv.FormatInt(math.MaxInt64, 10) + ", written in decimal digits"
	}
	return value{segment: strconv.FormatInt(n, 10), arg: n}, ""
}

func parseUUID(text string) (value, string) {
	const reason = "must be a UUID such as 123e4567-e89b-12d3-a456-426614174000"
	if len(text) != 36 {
		return value{}, reason
	}
	for i := range len(text) {
		switch c := text[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return value{}, reason
			}
		case unhex(c) < 0:
			return value{}, reason
		}
	}
	text = strings.ToLower(text)
	return value{segment: text, arg: text}, ""
}

func parseString(text string) (value, string) {
	if !utf8.ValidString(text) {
		return value{}, "must be valid UTF-8"
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return value{}, "must not contain control characters"
	}
	segment := encodeSegment(text)
	if len(segment) > maxSegment {
		return value{}, "must be at most 512 bytes long once it is percent-encoded"
	}
	return value{segment: segment, arg: text}, ""
}

// isCanonical tells whether raw, straight from the request line, is already
// what parse would put into the key. It knows the common spellings only; false
// sends the request the slow way, which knows all.
func (k Kind) isCanonical(raw []byte) bool {
	switch k {
	case Int:
		// 18 digits always fit an int64.
		if len(raw) == 0 || len(raw) > 18 || raw[0] == '0' && len(raw) > 1 {
			return false
		}
		for _, c := range raw {
			if c-'0' > 9 {
				return false
			}
		}
		return true
	case String:
		if len(raw) == 0 || len(raw) > maxSegment {
			return false
		}
		for _, c := range raw {
			if !safeByte(c) {
				return false
			}
		}
		return true
	case UUID:
		if len(raw) != 36 {
			return false
		}
		for i, c := range raw {
			if i == 8 || i == 13 || i == 18 || i == 23 {
				if c != '-' {
					return false
				}
			} else if c-'0' > 9 && c-'a' > 5 {
				return false
			}
		}
		return true
	}
	return false
}

// decode undoes percent-encoding, once: %2525 is "%25". ok is false for a
// percent sign without two hexadecimal digits. The result never aliases raw.
// plus turns "+" into a space, as queries want it.
func decode(raw []byte, plus bool) (text string, ok bool) {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			if i+2 >= len(raw) {
				return "", false
			}
			hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		case c == '+' && plus:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

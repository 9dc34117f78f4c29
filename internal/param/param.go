// Package param knows what names a record: the parameters of paths, how their
// values are written in paths and keys, and the templates of both.
//
// Whether two templates can make one key, and whether an id can leave its
// place in a key, is decided by the same alphabet that writes keys. So all
// rooms that read, write or judge names do it here: a second copy of the
// alphabet would one day judge what the first does not write.
package param

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is the type of a path parameter, as the configuration writes it. The
// zero Kind is none, so that a forgotten one shows at start-up.
type Kind string

// The kinds of parameters.
const (
	Int    Kind = "int"    // int64
	String Kind = "string" // UTF-8 without control characters
	UUID   Kind = "uuid"   // RFC 9562 in its hyphenated form
)

// Known tells whether k is one of the kinds.
func (k Kind) Known() bool { return k == Int || k == String || k == UUID }

// Param is a named, typed part of a path.
type Param struct {
	Name string
	Type Kind
}

// MaxSegment bounds a parameter in bytes after its encoding for the key: keys
// are repeated in every tier, and a longer id is an attack or a mistake.
const MaxSegment = 512

var paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Value is a validated parameter: what goes into the key, and what is bound
// in SQL.
type Value struct {
	// Segment is the value in keys and in canonical paths.
	Segment string
	// Arg is an int64 or a string.
	Arg any
}

// Parse validates text, which is decoded already, and makes it canonical. The
// reason is "" or says to a client what text must be; it never repeats text.
func (p Param) Parse(text string) (v Value, reason string) {
	switch {
	case text == "":
		return Value{}, "must not be empty"
	case len(text) > MaxSegment:
		return Value{}, "must be at most 512 bytes long once it is percent-encoded"
	}
	switch p.Type {
	case Int:
		return parseInt(text)
	case UUID:
		return parseUUID(text)
	case String:
		return parseString(text)
	}
	panic("BUG: parameter " + strconv.Quote(p.Name) + " has no kind")
}

// Arg is the value of a text that IsCanonical, which is not kept.
func (k Kind) Arg(raw []byte) any {
	if k != Int {
		return string(raw)
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		panic("BUG: canonical digits that are no integer: " + strconv.Quote(string(raw)))
	}
	return n
}

// parseInt reads decimal digits with an optional minus; leading zeros go.
func parseInt(text string) (Value, string) {
	n, err := strconv.ParseInt(text, 10, 64)
	// ParseInt takes a plus sign; two spellings of a number in use are one
	// too many, and in a query "+1" is a space and a one.
	if err != nil || text[0] == '+' {
		return Value{}, "must be an integer between " + strconv.FormatInt(math.MinInt64, 10) +
			" and " + strconv.FormatInt(math.MaxInt64, 10) + ", written in decimal digits"
	}
	return Value{Segment: strconv.FormatInt(n, 10), Arg: n}, ""
}

// parseUUID reads the hyphenated form, in capitals, too.
func parseUUID(text string) (Value, string) {
	text = strings.ToLower(text)
	if !UUID.IsCanonical([]byte(text)) {
		return Value{}, "must be a UUID such as 123e4567-e89b-12d3-a456-426614174000"
	}
	return Value{Segment: text, Arg: text}, ""
}

// parseString takes any text without control characters: those would garble a
// log, and no key typed by a person has one.
func parseString(text string) (Value, string) {
	if !utf8.ValidString(text) {
		return Value{}, "must be valid UTF-8"
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return Value{}, "must not contain control characters"
	}
	// Measured where it counts: each byte may become three.
	segment := Encode(text)
	if len(segment) > MaxSegment {
		return Value{}, "must be at most 512 bytes long once it is percent-encoded"
	}
	return Value{Segment: segment, Arg: text}, ""
}

// uuidForm has an x for each hexadecimal digit.
const uuidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

// IsCanonical tells whether raw, straight from the request line, is already
// what Parse would put into the key. It knows the common spellings only; false
// sends the request the slow way, which knows all.
func (k Kind) IsCanonical(raw []byte) bool {
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
		if len(raw) == 0 || len(raw) > MaxSegment {
			return false
		}
		for _, c := range raw {
			// A percent sign is not safe: what it stands for may be.
			if !Safe(c) {
				return false
			}
		}
		return true
	case UUID:
		if len(raw) != len(uuidForm) {
			return false
		}
		for i, c := range raw {
			isHex := c-'0' < 10 || c-'a' < 6
			if isHyphen := uuidForm[i] == '-'; isHyphen != (c == '-') || !isHyphen && !isHex {
				return false
			}
		}
		return true
	}
	return false
}

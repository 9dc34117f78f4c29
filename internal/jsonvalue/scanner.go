package jsonvalue

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Scanner passes over JSON several times as fast as a decoder, for it makes no tokens
// and keeps no stack: it finds where values end, and that there is nothing wrong with
// them. What it takes is JSON as this package has it, and no object of it has two
// members of one name. What it does not take may be good all the same: a name with an
// escape, an object with very many members, or values nested deeper than was asked for.
// So whoever asks it goes to a decoder then, which also knows what is wrong. It is not
// safe for concurrent use. The zero Scanner is ready for Reset.
type Scanner struct {
	text  []byte
	names []name // of the members of all objects around the place, the innermost last
	twins bool   // two members of one name pass
}

// name is the name of a member. hash is of its bytes: the bytes themselves up to eight.
type name struct {
	hash       uint64
	start, end int
}

// maxMembers bounds the members of one object that are compared with one another: each
// name with all before it.
const maxMembers = 64

// Reset makes text what is scanned.
func (s *Scanner) Reset(text []byte) {
	s.text, s.names = text, s.names[:0]
}

// Blank returns the place of the first byte from i on that is no white space.
func (s *Scanner) Blank(i int) int {
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\n' || s.text[i] == '\t' || s.text[i] == '\r') {
		i++
	}
	return i
}

// Text is what is scanned, from start to end.
func (s *Scanner) Text(start, end int) []byte { return s.text[start:end:end] }

// Object passes over the object that begins at i, and is nested depth levels deep at most,
// itself included. end is the place behind it, -1 if the scanner does not take it. value is
// that of its own member called member, nil if it has none: a part of the text.
func (s *Scanner) Object(i, depth int, member string) (value []byte, end int) {
	if i >= len(s.text) || s.text[i] != '{' {
		return nil, -1
	}
	return s.object(i, depth, member)
}

// value returns the place behind the value that begins at i, -1 if there is none.
func (s *Scanner) value(i, depth int) int {
	if i >= len(s.text) {
		return -1
	}
	switch c := s.text[i]; c {
	case '"':
		end, _ := s.str(i)
		return end
	case '{':
		_, end := s.object(i, depth, "")
		return end
	case '[':
		return s.array(i, depth)
	case 't':
		return s.word(i, "true")
	case 'f':
		return s.word(i, "false")
	case 'n':
		return s.word(i, "null")
	default:
		return s.number(i)
	}
}

func (s *Scanner) object(i, depth int, member string) (value []byte, end int) {
	if depth <= 0 {
		return nil, -1
	}
	outer := len(s.names)
	if i = s.Blank(i + 1); i < len(s.text) && s.text[i] == '}' {
		return nil, i + 1
	}
	for {
		if i >= len(s.text) || s.text[i] != '"' {
			return nil, -1
		}
		end, escaped := s.str(i)
		if end < 0 || !s.twins && (escaped || !s.isNew(outer, i+1, end-1)) {
			return nil, -1
		}
		mine := string(s.text[i+1:end-1]) == member
		if i = s.Blank(end); i >= len(s.text) || s.text[i] != ':' {
			return nil, -1
		}
		start := s.Blank(i + 1)
		if end = s.value(start, depth-1); end < 0 {
			return nil, -1
		}
		if mine {
			value = s.text[start:end:end]
		}
		if i = s.Blank(end); i >= len(s.text) {
			return nil, -1
		}
		switch s.text[i] {
		case '}':
			s.names = s.names[:outer]
			return value, i + 1
		case ',':
			i = s.Blank(i + 1)
		default:
			return nil, -1
		}
	}
}

// isNew tells whether no member of the object whose names begin at outer is called as
// the text from start to end, and notes it.
func (s *Scanner) isNew(outer, start, end int) bool {
	n := name{s.hash(start, end), start, end}
	for _, other := range s.names[outer:] {
		if other.hash == n.hash && string(s.text[other.start:other.end]) == string(s.text[start:end]) {
			return false
		}
	}
	s.names = append(s.names, n)
	return len(s.names)-outer <= maxMembers
}

// hash of a short name is its bytes. Of a longer one it is made of its ends: a client that
// makes many alike pays for maxMembers comparisons of each, and no more.
func (s *Scanner) hash(start, end int) uint64 {
	n := end - start
	if n > 8 {
		return binary.LittleEndian.Uint64(s.text[start:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(s.text[end-8:]), 29) ^ uint64(n)
	}
	if start+8 <= len(s.text) {
		return binary.LittleEndian.Uint64(s.text[start:]) & (1<<(8*n) - 1)
	}
	var word [8]byte
	copy(word[:], s.text[start:end])
	return binary.LittleEndian.Uint64(word[:])
}

func (s *Scanner) array(i, depth int) int {
	if depth <= 0 {
		return -1
	}
	if i = s.Blank(i + 1); i < len(s.text) && s.text[i] == ']' {
		return i + 1
	}
	for {
		end := s.value(i, depth-1)
		if end < 0 {
			return -1
		}
		if i = s.Blank(end); i >= len(s.text) {
			return -1
		}
		switch s.text[i] {
		case ']':
			return i + 1
		case ',':
			i = s.Blank(i + 1)
		default:
			return -1
		}
	}
}

func (s *Scanner) word(i int, word string) int {
	if end := i + len(word); end <= len(s.text) && string(s.text[i:end]) == word {
		return end
	}
	return -1
}

// number is of RFC 8259, 6: no leading zero, digits on both sides of a point.
func (s *Scanner) number(i int) int {
	if i < len(s.text) && s.text[i] == '-' {
		i++
	}
	if i < len(s.text) && s.text[i] == '0' {
		i++
	} else if i = s.digits(i); i < 0 {
		return -1
	}
	if i < len(s.text) && s.text[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(s.text) && s.text[i]|0x20 == 'e' {
		if i++; i < len(s.text) && (s.text[i] == '+' || s.text[i] == '-') {
			i++
		}
		return s.digits(i)
	}
	return i
}

// digits returns the place behind digits, -1 if there is none at i.
func (s *Scanner) digits(i int) int {
	start := i
	for i < len(s.text) && s.text[i]-'0' < 10 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// Eight bytes at a time: a pattern in each byte of a word.
const (
	eachOne  = 0x0101010101010101
	eachHigh = 0x8080808080808080
)

// special has the high bit of each byte of w set that is a quote, a backslash, a control
// character or no ASCII. Behind the first such byte it may have bits too many, for a
// subtraction borrows; the first is right.
func special(w uint64) uint64 {
	quote, backslash := w^('"'*eachOne), w^('\\'*eachOne)
	return ((quote-eachOne)&^quote | (backslash-eachOne)&^backslash | (w-0x20*eachOne)&^w | w) & eachHigh
}

// str returns the place behind the string that begins at i, -1 if the scanner does not
// take it, and whether it has an escape.
func (s *Scanner) str(i int) (end int, escaped bool) {
	text := s.text
	for i++; ; {
		for i+8 <= len(text) {
			if m := special(binary.LittleEndian.Uint64(text[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(text) {
			return -1, escaped
		}
		switch c := text[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = s.escape(i); i < 0 {
				return -1, escaped
			}
		case c < 0x20:
			return -1, escaped
		case c < utf8.RuneSelf:
			i++ // one of the last seven
		default:
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				return -1, escaped
			}
			i += n
		}
	}
}

// escape returns the place behind the escape that begins at i, both of them where two
// stand for one character; -1 if it is none, or stands for half a character.
func (s *Scanner) escape(i int) int {
	if i+1 >= len(s.text) {
		return -1
	}
	switch s.text[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		r := s.unit(i)
		switch {
		case r < 0 || r >= 0xdc00 && r < 0xe000:
			return -1
		case r < 0xd800 || r >= 0xe000:
			return i + 6
		}
		if low := s.unit(i + 6); low < 0xdc00 || low >= 0xe000 {
			return -1
		}
		return i + 12
	}
	return -1
}

// unit is the number that the escape \u at i has, -1 if there is none.
func (s *Scanner) unit(i int) int {
	if i+6 > len(s.text) || s.text[i] != '\\' || s.text[i+1] != 'u' {
		return -1
	}
	n := 0
	for _, c := range s.text[i+2 : i+6] {
		switch {
		case c-'0' < 10:
			n = n<<4 | int(c-'0')
		case c|0x20-'a' < 6:
			n = n<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}

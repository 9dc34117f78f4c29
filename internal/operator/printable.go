package operator

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is text that a terminal shows as it is: what would move its cursor, change its
// colours or reorder its line is written as an escape of Go. Keys are chosen by clients, and
// an operator's terminal obeys what is written to it.
func Printable(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case harmless(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// harmless tells whether a terminal shows a rune and does nothing else: letters with their
// marks, numbers, signs and the one space. Formats (Cf: the marks of direction are among
// them), other spaces, what is private and what is not assigned are not.
func harmless(r rune) bool {
	return r == ' ' || unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

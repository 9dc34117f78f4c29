package param

import "strings"

// Safe tells which bytes stand for themselves in a key, and in the canonical
// spelling of a path.
func Safe(c byte) bool {
	return c-'a' < 26 || c-'A' < 26 || c-'0' < 10 || c == '.' || c == '_' || c == '~' || c == '@' || c == '-'
}

const upperHex = "0123456789ABCDEF"

// Encode percent-encodes every byte that is not safe, with upper-case digits
// (RFC 3986, 2.1).
func Encode(text string) string {
	escapes := 0
	for i := range len(text) {
		if !Safe(text[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return text
	}
	dst := make([]byte, 0, len(text)+2*escapes)
	for i := range len(text) {
		if c := text[i]; Safe(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(dst)
}

// Decode undoes percent-encoding, once: %2525 is "%25". ok is false for a
// percent sign without two hexadecimal digits. The result never aliases raw.
// plus turns "+" into a space, as queries want it.
func Decode(raw []byte, plus bool) (text string, ok bool) {
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

// Unescape undoes percent-encoding once, as a careless server does: what is no
// escape stays as it is, and bytes are bytes, whether they are UTF-8 or not.
func Unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if hi, lo := unhex(text[i+1]), unhex(text[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
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

package param

import (
	"encoding/hex"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Safe tells which bytes stand for themselves in a key, and in the canonical
// spelling of a path.
func Safe(c byte) bool {
	return c-'a' < 26 || c-'A' < 26 || c-'0' < 10 || c == '.' || c == '_' || c == '~' || c == '@' || c == '-'
}

// upperHex are the digits of escapes, as RFC 3986 prefers them.
const upperHex = "0123456789ABCDEF"

// Encode percent-encodes every byte that is not safe, with upper-case digits
// (RFC 3986, 2.1).
func Encode(text string) string {
	// Bytes beyond ASCII are not safe, whatever characters they are part of.
	unsafe := func(r rune) bool { return r >= utf8.RuneSelf || !Safe(byte(r)) }
	at := strings.IndexFunc(text, unsafe)
	if at < 0 {
		return text
	}
	dst := make([]byte, at, 3*len(text))
	copy(dst, text)
	for i := at; i < len(text); i++ {
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
	// net/url decodes once, and copies.
	decode := url.PathUnescape
	if plus {
		decode = url.QueryUnescape
	}
	text, err := decode(string(raw))
	return text, err == nil
}

// Unescape undoes percent-encoding once, as a careless server does: what is no
// escape stays as it is, and bytes are bytes, whether they are UTF-8 or not.
func Unescape(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for text != "" {
		if text[0] == '%' && len(text) > 2 {
			if c, err := hex.DecodeString(text[1:3]); err == nil {
				b.WriteByte(c[0])
				text = text[3:]
				continue
			}
		}
		b.WriteByte(text[0])
		text = text[1:]
	}
	return b.String()
}

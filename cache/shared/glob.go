package shared

import "strings"

// Glob is the pattern of the keys that have literals in this order, whatever stands
// between them: Glob("order:", ":lines") is order:*:lines.
func Glob(literals ...string) string {
	var b strings.Builder
	for i, text := range literals {
		if i > 0 {
			b.WriteByte('*')
		}
		for _, c := range []byte(text) {
			if strings.IndexByte(`*?[]\^-`, c) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

// GlobPrefix is what all keys that match a pattern begin with.
func GlobPrefix(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*', c == '?', c == '[':
			return b.String()
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteByte(pattern[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// MatchGlob tells whether key matches a pattern of Redis: * and ? stand for any bytes and
// any byte, [a-z] and [^a-z] for one of a set and for any other, and a backslash makes what
// follows stand for itself. It takes no longer than their lengths multiplied.
func MatchGlob(pattern, key string) bool {
	star, again := -1, 0 // the last * and where its text ends if another byte belongs to it
	p, k := 0, 0
	for k < len(key) {
		if p < len(pattern) && pattern[p] == '*' {
			star, again = p, k
			p++
			continue
		}
		if p < len(pattern) {
			if width, ok := matchOne(pattern[p:], key[k]); ok {
				p, k = p+width, k+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		again++
		p, k = star+1, again
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchOne tells whether the beginning of a pattern, which is no *, stands for a byte, and
// how long that beginning is.
func matchOne(pattern string, c byte) (width int, ok bool) {
	switch {
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		return matchSet(pattern, c)
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, pattern[1] == c
	}
	return 1, pattern[0] == c
}

// matchSet is matchOne for a set. One that is not closed ends with the pattern.
func matchSet(pattern string, c byte) (width int, ok bool) {
	i := 1
	not := i < len(pattern) && pattern[i] == '^'
	if not {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == c
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			ok = ok || low <= c && c <= high
			i += 2
		default:
			ok = ok || pattern[i] == c
		}
	}
	return min(i+1, len(pattern)), ok != not
}

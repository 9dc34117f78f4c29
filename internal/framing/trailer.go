package framing

import (
	"slices"
	"strings"
)

// trailer checks one field behind the chunks.
func trailer(line []byte) Fault {
	parts := fieldLine.FindSubmatch(line)
	switch {
	case parts == nil:
		return BadTrailer
	case isForbidden(parts[1]):
		return TrailerField
	}
	return None
}

// forbidden are the fields that must not come behind the content (RFC 9110,
// 6.5.1): those that say where it ends, whom the request is for, who sends it, or
// what the content is. A program on the way that counts trailers as fields of the
// header would read another request. All other trailers, conditions included, are
// ignored.
var forbidden = []string{
	"authorization", "connection", "content-encoding", "content-length", "content-range", "content-type", "cookie", "expect",
	"forwarded", "host", "keep-alive", "location", "max-forwards", "proxy-authenticate", "proxy-authorization", "proxy-connection",
	"range", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "www-authenticate",
}

// forbiddenPrefixes are those of whole families.
var forbiddenPrefixes = []string{"x-forwarded", "x-real-ip"}

func isForbidden(name []byte) bool {
	lower := strings.ToLower(string(name))
	return slices.Contains(forbidden, lower) ||
		slices.ContainsFunc(forbiddenPrefixes, func(prefix string) bool { return strings.HasPrefix(lower, prefix) })
}

package framing

import "bytes"

// trailer checks one field behind the chunks.
func trailer(line []byte) Fault {
	colon := tokenLength(line)
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return BadTrailer
	}
	for _, c := range line[colon+1:] {
		if isControl(c) {
			return BadTrailer
		}
	}
	if isForbidden(line[:colon]) {
		return TrailerField
	}
	return None
}

// forbidden are the fields that must not come behind the content (RFC 9110,
// 6.5.1): those that say where it ends, whom the request is for, who sends it, or
// what the content is. A program on the way that lets trailers count as fields of
// the header would read another request. What is left, conditions among it, is
// dropped.
var forbidden = []string{
	"authorization", "connection", "content-encoding", "content-length", "content-range", "content-type", "cookie", "expect",
	"forwarded", "host", "keep-alive", "location", "max-forwards", "proxy-authenticate", "proxy-authorization", "proxy-connection",
	"range", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "www-authenticate",
}

// forbiddenBeginnings are those of whole families.
var forbiddenBeginnings = []string{"x-forwarded", "x-real-ip"}

func isForbidden(name []byte) bool {
	for _, f := range forbidden {
		if is(name, f) {
			return true
		}
	}
	name = bytes.ToLower(name)
	for _, f := range forbiddenBeginnings {
		if bytes.HasPrefix(name, []byte(f)) {
			return true
		}
	}
	return false
}

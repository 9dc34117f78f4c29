// Package framing looks once more at the header of a request that an HTTP
// library has read, and says where another program on the way may have read it
// differently.
//
// If two programs disagree about the end of a request by a few bytes, the second
// one finds a request in what the first has passed on as content (request
// smuggling, RFC 9112, 11.2). Libraries are lenient because each leniency alone does
// no harm. So this is a package of its own that knows no library: both listeners
// ask it, it takes the bytes as they came, and it refuses whatever a strict reader
// would not have read in the same way. It also reads content, since the next
// request begins where that ends.
package framing

import (
	"bytes"
	"strconv"
)

// Request checks what has to be checked before a request is answered: the header
// as it came, then the version, then the target. content is that of Header.
func Request(method string, header, protocol, target []byte) (content Content, fault Fault) {
	content, _, fault = Header(header)
	if fault == None {
		fault = Version(protocol)
	}
	if fault == None {
		fault = Target(method, target)
	}
	return content, fault
}

// Header checks a header as it came: the lines behind the request line, up to
// and with the empty one. It relies on what fasthttp has checked already: names
// consist of token characters and spaces, values hold no control characters but
// tabs, and Content-Length, Host and Transfer-Encoding occur at most once. It looks
// at each line once and allocates nothing, since every memory hit pays for it; so it also
// tells which fields are there that ask for freshness.
func Header(header []byte) (content Content, asks Asks, fault Fault) {
	sized := false
	for len(header) > 0 {
		end := bytes.IndexByte(header, '\n')
		if end < 1 || header[end-1] != '\r' {
			return content, asks, BareLineFeed
		}
		line := header[:end-1]
		header = header[end+1:]
		if len(line) == 0 {
			break
		}
		colon := 0
		for colon < len(line) && line[colon] != ':' {
			if isBlank(line[colon]) {
				if colon == 0 {
					return content, asks, Folded
				}
				return content, asks, BadName
			}
			colon++
		}
		if colon == len(line) {
			return content, asks, BadName
		}
		if fault := field(line, colon, &content, &sized, &asks); fault != None {
			return content, asks, fault
		}
	}
	if len(header) > 0 {
		return content, asks, BareLineFeed // an empty line that only some take for the end
	}
	if content.Chunked && sized {
		return content, asks, TwoLengths
	}
	return content, asks, None
}

// field checks the few fields that say where a request ends, or whom it is for, and notes
// those that ask for something. The first letter and the length rule out nearly all others
// without a comparison.
func field(line []byte, colon int, content *Content, sized *bool, asks *Asks) Fault {
	switch line[0] | 0x20 {
	case 'a':
		if colon == len("authorization") && is(line[:colon], "authorization") {
			*asks |= AsksAuthorization
		}
	case 'c':
		if colon == len("cache-control") && is(line[:colon], "cache-control") {
			*asks |= AsksControl
		}
		if colon == len("content-length") && is(line[:colon], "content-length") {
			*sized = true
			if content.Length = number(Trim(line[colon+1:])); content.Length < 0 {
				return BadLength
			}
		}
	case 'e':
		if colon == len("expect") && is(line[:colon], "expect") && !is(Trim(line[colon+1:]), "100-continue") {
			return Expectation
		}
	case 'h':
		if colon == len("host") && is(line[:colon], "host") && !isHost(Trim(line[colon+1:])) {
			return BadHost
		}
		if colon == len("hearth-version") && is(line[:colon], "hearth-version") {
			*asks |= AsksVersion
		}
	case 'p':
		if colon == len("pragma") && is(line[:colon], "pragma") {
			*asks |= AsksPragma
		}
	case 't':
		if colon == len("transfer-encoding") && is(line[:colon], "transfer-encoding") {
			if content.Chunked = is(Trim(line[colon+1:]), "chunked"); !content.Chunked {
				return Coding
			}
		}
	}
	return None
}

// number is the value of decimal digits, and -1 where they are none, or more than
// any content can have. ParseUint takes no signs, no blanks and, with a base given,
// no underscores.
func number(digits []byte) int64 {
	n, err := strconv.ParseUint(string(digits), 10, lengthBits)
	if err != nil {
		return -1
	}
	return int64(n)
}

// Version checks the protocol version of the request line. Others of major
// version 1 do not exist, and what would frame their requests is unknown.
func Version(protocol []byte) Fault {
	if string(protocol) == "HTTP/1.1" || string(protocol) == "HTTP/1.0" {
		return None
	}
	return BadVersion
}

// Target checks the request target (RFC 9112, 3.2). Fragments are no part of one;
// some programs take them for part of the path, some drop them. A target in
// absolute-form names the host that is asked, whatever Host says (3.2.2).
func Target(method string, target []byte) Fault {
	switch {
	case bytes.IndexByte(target, '#') >= 0:
		return BadTarget
	case len(target) > 0 && target[0] == '/':
		return None
	case string(target) == "*" && method == "OPTIONS":
		return None
	case method == "CONNECT":
		return NoProxy
	}
	for _, scheme := range []string{"http://", "https://"} {
		if len(target) < len(scheme) || !is(target[:len(scheme)], scheme) {
			continue
		}
		authority := target[len(scheme):]
		if end := bytes.IndexAny(authority, "/?"); end >= 0 {
			authority = authority[:end]
		}
		if len(authority) > 0 && authority[0] != ':' && isHost(authority) {
			return None
		}
	}
	return BadTarget
}

// isHost admits what can stand in a host and port (RFC 9110, 7.2), escapes
// excepted, which nobody sends and which hide other bytes.
func isHost(host []byte) bool {
	for _, c := range host {
		if !hostBytes[c] {
			return false
		}
	}
	return true
}

var hostBytes = setOf(alphanumeric + "-._~!$&'()*+,;=:[]")

// is compares without regard to the case of ASCII letters; text is in lower case.
// EqualFold of the standard library folds by Unicode: for it the Kelvin sign is a
// k, and "chun\u212aed" would be chunked to us and nothing to others.
func is(b []byte, text string) bool {
	if len(b) != len(text) {
		return false
	}
	for i, c := range b {
		if lower(c) != text[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		c |= 0x20
	}
	return c
}

// Trim is a value without the blanks around it.
func Trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

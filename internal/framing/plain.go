package framing

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Plain is a request as nearly all reads are: a GET or HEAD that nobody can read in two
// ways, that has no content, keeps its connection, and of whose fields only those matter
// that are here. Its slices are parts of what was read, without the blanks around them;
// nil is a field that is absent.
type Plain struct {
	Head   bool
	Target []byte // begins with a slash, and has neither control characters nor a fragment

	AcceptEncoding, IfNoneMatch, Origin, RequestID []byte

	Asks Asks // whose values are for others to read
}

// ReadPlain reads the request that b begins with into p, and returns its length. 0 says
// that it is not whole, or no such request, or one that is written unusually: then nothing
// is known of it, and p means nothing. It does the work of a parser and of Header in one
// pass, so it takes less than both of them, and never more: what it takes, a parser that
// keeps to RFC 9112 reads in the same way, and Header finds no fault in. It allocates
// nothing.
func ReadPlain(b []byte, p *Plain) (n int) {
	*p = Plain{}
	at := 0
	switch {
	case bytes.HasPrefix(b, getSlash):
		at = len("GET ")
	case bytes.HasPrefix(b, headSlash):
		at, p.Head = len("HEAD "), true
	default:
		return 0
	}
	end := at
	for end < len(b) && targetBytes[b[end]] {
		end++
	}
	if !bytes.HasPrefix(b[end:], restOfLine) {
		return 0
	}
	p.Target = b[at:end]
	hosts := 0
	for at = end + len(restOfLine); ; {
		if at+1 >= len(b) {
			return 0
		}
		if b[at] == '\r' {
			if b[at+1] != '\n' || hosts != 1 {
				return 0
			}
			return at + 2
		}
		name := at
		for at < len(b) && nameBytes[b[at]] {
			at++
		}
		if at == len(b) || at == name || b[at] != ':' {
			return 0
		}
		value := at + 1
		end := endOfLine(b, value)
		if end < 0 {
			return 0
		}
		switch p.field(b[name:at], b[value:end]) {
		case fieldRefused:
			return 0
		case fieldHost:
			hosts++
		}
		at = end + len("\r\n")
	}
}

var (
	getSlash   = []byte("GET /")
	headSlash  = []byte("HEAD /")
	restOfLine = []byte(" HTTP/1.1\r\n")
)

// What a field means for a Plain.
const (
	fieldIgnored = iota // nothing
	fieldRefused        // that it is none
	fieldHost
)

// field takes what one line says. The length of a name rules out nearly all others without
// a comparison. A field that matters and comes twice is for others to judge.
func (p *Plain) field(name, value []byte) int {
	switch len(name) {
	case len("host"):
		if is(name, "host") {
			if !isPlainHost(Trim(value)) {
				return fieldRefused
			}
			return fieldHost
		}
	case len("origin"): // and expect and pragma
		if is(name, "origin") {
			return keep(&p.Origin, value)
		}
		if is(name, "pragma") {
			p.Asks |= AsksPragma
			return fieldIgnored
		}
		return refuseIf(is(name, "expect"))
	case len("trailer"): // and upgrade
		return refuseIf(is(name, "trailer") || is(name, "upgrade"))
	case len("if-match"):
		return refuseIf(is(name, "if-match"))
	case len("connection"):
		return refuseIf(is(name, "connection") && !is(Trim(value), "keep-alive"))
	case len("x-request-id"):
		if is(name, "x-request-id") {
			return keep(&p.RequestID, value)
		}
	case len("if-none-match"): // and authorization and cache-control
		switch {
		case is(name, "if-none-match"):
			return keep(&p.IfNoneMatch, value)
		case is(name, "cache-control"):
			p.Asks |= AsksControl
		case is(name, "authorization"):
			p.Asks |= AsksAuthorization
		}
	case len("content-length"): // and hearth-version
		if is(name, "hearth-version") {
			p.Asks |= AsksVersion
			return fieldIgnored
		}
		return refuseIf(is(name, "content-length"))
	case len("accept-encoding"):
		if is(name, "accept-encoding") {
			return keep(&p.AcceptEncoding, value)
		}
	case len("transfer-encoding"):
		return refuseIf(is(name, "transfer-encoding"))
	}
	return fieldIgnored
}

// keep notes the value of a field that may come once.
func keep(field *[]byte, value []byte) int {
	if *field != nil {
		return fieldRefused
	}
	*field = Trim(value)
	return fieldIgnored
}

func refuseIf(refuse bool) int {
	if refuse {
		return fieldRefused
	}
	return fieldIgnored
}

// endOfLine finds where the value of a field ends that begins at from: at CR and LF. -1 says
// that there is no such end yet, or a byte before it that is neither printable ASCII nor a
// tab. It looks at eight bytes at a time.
func endOfLine(b []byte, from int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := from
	for i < len(b) {
		if i+8 <= len(b) {
			// The top bit of a byte is set where that byte is below a blank, is DEL, or has
			// its own top bit set. A borrow of a byte that is below a blank may set those of
			// bytes behind it, which does not matter: the first one counts.
			w := binary.LittleEndian.Uint64(b[i:])
			odd := (w - ones*' ' | w + ones | w) & tops
			if odd == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(odd) / 8
		}
		switch c := b[i]; {
		case c == '\r':
			if i+1 < len(b) && b[i+1] == '\n' {
				return i
			}
			return -1
		case c == '\t', c >= ' ' && c <= '~':
			i++
		default:
			return -1
		}
	}
	return -1
}

// isPlainHost admits a name or an IPv4 address, with a port or without: what every program
// reads in the same way. An address in brackets is left to others.
func isPlainHost(host []byte) bool {
	name := 0
	for name < len(host) && labelBytes[host[name]] {
		name++
	}
	if name == 0 {
		return false
	}
	if name == len(host) {
		return true
	}
	if host[name] != ':' {
		return false
	}
	for _, c := range host[name+1:] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var (
	nameBytes  = setOf(alphanumeric + "!#$%&'*+-.^_`|~") // token, RFC 9110, 5.6.2
	labelBytes = setOf(alphanumeric + "-._")
	// targetBytes are those of RFC 3986, without the number sign, which begins a fragment.
	targetBytes = setOf(alphanumeric + "-._~:/?[]@!$&'()*+,;=%")
)

func setOf(bytes string) (all [256]bool) {
	for _, c := range []byte(bytes) {
		all[c] = true
	}
	return all
}

package handlers

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// proxies knows whose X-Forwarded-For is believed, and so who the client of a
// request is where limits count by client. It is immutable and safe for
// concurrent use.
type proxies struct{ trusted []netip.Prefix }

// newProxies trusts the peers in cidrs (server.trusted_proxies). Peers on a unix
// socket are trusted without being listed: they are processes of this machine
// that the socket's mode lets in, as a rule the proxy it was made for.
func newProxies(cidrs []netip.Prefix) *proxies {
	p := &proxies{trusted: make([]netip.Prefix, 0, len(cidrs))}
	for _, c := range cidrs {
		// Addresses are compared in their IPv4 form, so networks must be in it.
		if c.Addr().Is4In6() && c.Bits() >= 96 {
			c = netip.PrefixFrom(c.Addr().Unmap(), c.Bits()-96)
		}
		p.trusted = append(p.trusted, c.Masked())
	}
	return p
}

// maxHops bounds how many elements of X-Forwarded-For are looked at.
const maxHops = 64

// clientOf is client for a request. It may be asked on the fast path.
func (p *proxies) clientOf(ctx *fasthttp.RequestCtx) (client netip.Addr, foreign bool) {
	peer := peerOf(ctx.RemoteAddr())
	if !p.trusts(peer) {
		return group(peer), len(ctx.Request.Header.PeekCanonical(headerForwardedFor)) > 0
	}
	// fasthttp counts a trailer as a header here, but refuses one of this name.
	return p.client(peer, ctx.Request.Header.PeekAll(nameForwardedFor))
}

var headerForwardedFor = []byte(nameForwardedFor)

const nameForwardedFor = fasthttp.HeaderXForwardedFor

// client says who counts as the client of a request from peer that carries the
// given lines of X-Forwarded-For. It allocates nothing, unless an element is no
// address.
//
// Each proxy appends the address it was asked from. So the list is read from
// the right, as one list however many lines it has: what stands left of the
// first address that is no trusted proxy was written by whoever had that
// address, and is worth nothing. Where the list is not addresses ("unknown", a
// name with an underscore, garbage) it can be followed no further, and the
// trusted proxy that wrote so is the client; likewise after maxHops elements.
// If all are trusted, the leftmost is. With foreign the header was there, and
// its peer is not trusted: somebody pretends, or a balancer is missing in
// server.trusted_proxies and all its clients count as one.
//
// The zero Addr as peer is that of a unix socket, and as client whoever asks
// through one without the header.
func (p *proxies) client(peer netip.Addr, forwarded [][]byte) (client netip.Addr, foreign bool) {
	if !p.trusts(peer) {
		return group(peer), len(forwarded) > 0
	}
	client = peer
	left := maxHops
	for i := len(forwarded) - 1; i >= 0; i-- {
		for line, more := forwarded[i], true; more; left-- {
			if left == 0 {
				return group(client), false
			}
			var element []byte
			if line, element, more = cutLast(line); len(element) == 0 {
				continue // nobody, as everywhere in lists (RFC 9110, 5.6.1)
			}
			hop, ok := parseHop(element)
			if !ok {
				return group(client), false
			}
			client = hop
			if !p.trusts(hop) {
				return group(client), false
			}
		}
	}
	return group(client), false
}

// cutLast cuts off a list's last element; more says that there was a comma.
func cutLast(list []byte) (rest, element []byte, more bool) {
	comma := bytes.LastIndexByte(list, ',')
	if comma < 0 {
		return nil, trimSpace(list), false
	}
	return list[:comma], trimSpace(list[comma+1:]), true
}

func (p *proxies) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return true // a unix socket's
	}
	for i := range p.trusted {
		if p.trusted[i].Contains(a) {
			return true
		}
	}
	return false
}

// group makes one client of all that one subscriber can send from. An IPv6
// network is given out as a /64 or more, so counted by address a single machine
// would be 2^64 clients; its /64 stands for it. An IPv4 address is a client.
func group(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	raw := a.As16()
	clear(raw[8:])
	return netip.AddrFrom16(raw)
}

// peerOf is the address of a connection's other end; the zero Addr says that it
// came through a unix socket.
func peerOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.UnixAddr:
		return netip.Addr{}
	case *net.TCPAddr: // not its AddrPort, which would look up the zone
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			return ip.Unmap()
		}
	}
	return netip.IPv4Unspecified() // whoever this is, the zero Addr would be trusted
}

// parseHop reads one element: an address, as proxies write it. Some add the
// port, and then put brackets around an IPv6 address; some write brackets
// without a port.
func parseHop(b []byte) (netip.Addr, bool) {
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && !isPort(b[end+1:]) {
			return netip.Addr{}, false
		}
		a, ok := parseAddr(b[1:end])
		return a.Unmap(), ok && a.Is6()
	}
	if colon := bytes.IndexByte(b, ':'); colon >= 0 && bytes.LastIndexByte(b, ':') == colon {
		if !isPort(b[colon:]) {
			return netip.Addr{}, false
		}
		b = b[:colon] // an IPv6 address has more than one
	}
	a, ok := parseAddr(b)
	return a.Unmap(), ok
}

// parseAddr reads an address without its zone, which names an interface of
// another machine.
func parseAddr(b []byte) (netip.Addr, bool) {
	b, _, zoned := bytes.Cut(b, percent)
	// The longest address has 45 bytes. ParseAddr keeps what it is given only
	// in its error, which goes nowhere, so the bytes need not be copied.
	if len(b) == 0 || len(b) > 45 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b)))
	return a, err == nil && (!zoned || a.Is6())
}

var percent = []byte("%")

// isPort tells whether b is a colon and the number of a port.
func isPort(b []byte) bool {
	if len(b) < 2 || len(b) > 6 || b[0] != ':' {
		return false
	}
	n := 0
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 0xffff
}

// foreignLog warns of X-Forwarded-For from peers that are not trusted, while a
// limit counts by client. It is safe for concurrent use.
type untrustedLog struct {
	log   *slog.Logger
	since time.Time
	seen  atomic.Int64
	due   atomic.Int64 // nanoseconds after since: when the next line may come
}

// foreignEvery is the shortest time between two lines: whoever sends the header
// decides how often there is a reason for one.
const untrustedLogInterval = time.Minute

func newUntrustedLog(log *slog.Logger) *untrustedLog {
	return &untrustedLog{log: log, since: time.Now()}
}

// warn counts a request from peer, and logs the first of each minute.
func (f *untrustedLog) warn(peer net.Addr) {
	seen := f.seen.Add(1)
	now, due := int64(time.Since(f.since)), f.due.Load()
	if now < due || !f.due.CompareAndSwap(due, now+int64(untrustedLogInterval)) {
		return
	}
	f.log.Warn("X-Forwarded-For from an untrusted peer while a limit counts by client: all that this peer forwards counts as one client; "+
		"if it is the load balancer, add it to server.trusted_proxies",
		"peer", peerOf(peer).String(), "requests", seen)
}

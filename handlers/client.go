package handlers

import (
	"bytes"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
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

// clientOf is client for a request that came from remote. The fast path may call it.
func (p *proxies) clientOf(remote net.Addr, h *fasthttp.RequestHeader) (client netip.Addr, untrusted bool) {
	peer := peerOf(remote)
	if !p.trusts(peer) {
		return group(peer), len(h.PeekCanonical(headerForwardedFor)) > 0
	}
	// fasthttp counts a trailer as a header here, but refuses one of this name.
	return p.client(peer, h.PeekAll(nameForwardedFor))
}

// client says who counts as the client of a request from peer that carries the
// given lines of X-Forwarded-For. It allocates nothing, unless an element is no
// address; that, and the limit on what is looked at, is why no library does it.
//
// Each proxy appends the address it was asked from. So the list is read from the
// right, as one list however many lines it has: the first address that is no
// trusted proxy is the client's, and what stands left of it was written by that
// client and is worth nothing. An element that is no address ("unknown", a name
// with an underscore, garbage) ends the walk, and the trusted proxy that wrote it
// is the client; so do maxHops elements. If all are trusted, the leftmost is the
// client. untrusted says that the header was there and its peer is not trusted:
// the peer lies, or a balancer is missing in server.trusted_proxies and all its
// clients count as one.
//
// The zero Addr as peer is that of a unix socket; as client it stands for a
// request through one without the header.
func (p *proxies) client(peer netip.Addr, forwarded [][]byte) (client netip.Addr, untrusted bool) {
	if !p.trusts(peer) {
		return group(peer), len(forwarded) > 0
	}
	client = peer
	left := maxHops
	for i := len(forwarded) - 1; i >= 0; i-- {
		for line, more := forwarded[i], true; more && left > 0; left-- {
			var element []byte
			if line, element, more = cutLast(line); len(element) == 0 {
				continue // empty elements count for nothing (RFC 9110, 5.6.1)
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
func cutLast(list []byte) (before, element []byte, more bool) {
	at := bytes.LastIndexByte(list, ',')
	return list[:max(at, 0)], framing.Trim(list[at+1:]), at >= 0
}

// trusts tells whether a is a trusted proxy, or the peer of a unix socket. The list
// is short, so it is gone through.
func (p *proxies) trusts(a netip.Addr) bool {
	if !a.IsValid() {
		return true
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
	return netip.PrefixFrom(a, 64).Masked().Addr()
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
	return netip.IPv4Unspecified() // an unknown peer; the zero Addr would be trusted
}

// parseHop reads one element: an address, as proxies write it. Some add the
// port, and then put brackets around an IPv6 address; some write brackets
// without a port. A zone names an interface of another machine and is dropped.
func parseHop(b []byte) (netip.Addr, bool) {
	// Neither parser keeps the text but in an error, which goes nowhere, so it
	// need not be copied.
	text := unsafe.String(unsafe.SliceData(b), len(b))
	bracketed := text[0] == '['
	switch {
	case bracketed && text[len(text)-1] != ']', strings.Count(text, ":") == 1:
		host, port, err := net.SplitHostPort(text)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || len(port) > len("65535") {
			return netip.Addr{}, false
		}
		text = host
	case bracketed:
		text = text[1 : len(text)-1]
	}
	text, _, zoned := strings.Cut(text, "%")
	a, err := netip.ParseAddr(text)
	return a.Unmap(), err == nil && (a.Is6() || !bracketed && !zoned)
}

// untrustedLog warns of X-Forwarded-For from peers that are not trusted, while a
// limit counts by client. It is safe for concurrent use.
type untrustedLog struct {
	log   *slog.Logger
	since time.Time
	seen  atomic.Int64
	due   atomic.Int64 // nanoseconds after since: when the next line may come
}

// untrustedLogInterval is the shortest time between two lines: the sender of the
// header decides how often there is a reason for one.
const untrustedLogInterval = time.Minute

// newUntrustedLog returns an untrustedLog that has warned of nothing yet.
func newUntrustedLog(log *slog.Logger) *untrustedLog {
	return &untrustedLog{log: log, since: time.Now()}
}

// warn counts a request from peer, and logs the first of each minute.
func (u *untrustedLog) warn(peer net.Addr) {
	seen := u.seen.Add(1)
	now, due := int64(time.Since(u.since)), u.due.Load()
	if now < due || !u.due.CompareAndSwap(due, now+int64(untrustedLogInterval)) {
		return
	}
	u.log.Warn("X-Forwarded-For from an untrusted peer while a limit counts by client: all that this peer forwards counts as one client; "+
		"if it is the load balancer, add it to server.trusted_proxies",
		"peer", peerOf(peer).String(), "requests", seen)
}

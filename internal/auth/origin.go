package auth

import (
	"net/netip"
	"strconv"
	"strings"
)

// ForeignOrigin reports that a web page of another origin is behind a request:
// origin is the lines of its Origin field, of which one foreign line is enough,
// and host the value of Host. Schemes are not compared, because a balancer in
// front may have taken TLS off; where Host has no port, it is the one that goes
// with the origin's scheme.
//
// No Origin means that no page is behind the request (browsers send it with
// everything but plain GET and HEAD). "null" and what is no origin at all are
// foreign.
func ForeignOrigin(origin [][]byte, host string) bool {
	for _, line := range origin {
		if len(line) > 0 && !sameOrigin(string(line), host) {
			return true
		}
	}
	return false
}

// ports are the default ports of the schemes that a page can come by.
var ports = map[string]uint16{"http": 80, "https": 443}

func sameOrigin(origin, host string) bool {
	scheme, page, _ := strings.Cut(origin, "://")
	implied := ports[strings.ToLower(scheme)]
	if implied == 0 {
		return false
	}
	from, ok := parseAuthority(page, implied)
	if !ok {
		return false
	}
	to, ok := parseAuthority(host, implied)
	return ok && from == to
}

// ForeignSite reports that a browser says, in the lines of Sec-Fetch-Site, that
// a page of another origin is behind a request.
func ForeignSite(lines [][]byte) bool {
	for _, line := range lines {
		if s := string(line); s != "same-origin" && s != "none" {
			return true
		}
	}
	return false
}

// authority is a host and port in a form that compares with ==.
type authority struct {
	host string
	port uint16
}

// parseAuthority reads a host with or without a port; implied is the port where
// there is none. The standard library's parsers are for addresses to dial: they
// take zones, names of services and leading zeros, and each of those is a second
// spelling that a comparison would have to know.
func parseAuthority(s string, implied uint16) (authority, bool) {
	host, n := s, implied
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 && !strings.HasSuffix(s, "]") {
		port := s[colon+1:]
		v, err := strconv.ParseUint(port, 10, 16)
		if err != nil || port[0] == '0' {
			return authority{}, false
		}
		host, n = s[:colon], uint16(v)
	}
	if inner, found := strings.CutPrefix(host, "["); found {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return authority{}, false
		}
		return authority{ip.String(), n}, true
	}
	if !validHost(host) {
		return authority{}, false
	}
	return authority{strings.ToLower(host), n}, true
}

// validHost admits the characters of domain names and IPv4 addresses. Browsers
// send names in their ASCII form; anything else (user information, a path, a
// list of origins) must not get as far as a comparison.
func validHost(host string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	return host != "" && strings.Trim(host, allowed) == ""
}

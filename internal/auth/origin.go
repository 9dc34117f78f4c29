package auth

import (
	"net/netip"
	"strconv"
	"strings"
)

// ForeignOrigin reports that a request was made by a web page of another
// origin: origin is the value of the Origin header, host that of Host. Schemes
// are not compared, because a balancer in front may have taken TLS off; where
// Host has no port, it is the one that goes with the origin's scheme.
//
// No Origin means that no page is behind the request (browsers send it with
// everything but plain GET and HEAD). "null" and what is no origin at all are
// foreign.
func ForeignOrigin(origin, host string) bool {
	if origin == "" {
		return false
	}
	scheme, authority, found := strings.Cut(origin, "://")
	if !found {
		return true
	}
	var implied uint16
	switch strings.ToLower(scheme) {
	case "http":
		implied = 80
	case "https":
		implied = 443
	default:
		return true
	}
	from, ok := parseAuthority(authority, implied)
	if !ok {
		return true
	}
	to, ok := parseAuthority(host, implied)
	return !ok || from != to
}

// ForeignOrigins is ForeignOrigin for all lines of an Origin field: one foreign
// line is enough.
func ForeignOrigins(lines [][]byte, host string) bool {
	for _, origin := range lines {
		if ForeignOrigin(string(origin), host) {
			return true
		}
	}
	return false
}

// ForeignSites reports that a browser says, in Sec-Fetch-Site, that a page of
// another origin is behind a request.
func ForeignSites(lines [][]byte) bool {
	for _, site := range lines {
		if s := string(site); s != "same-origin" && s != "none" {
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

func parseAuthority(s string, implied uint16) (authority, bool) {
	host, port := s, ""
	colon := strings.LastIndexByte(s, ':')
	if colon >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:colon], s[colon+1:]
	}
	n := implied
	if colon >= 0 && len(host) < len(s) {
		v, err := strconv.ParseUint(port, 10, 16)
		if err != nil || v == 0 || port[0] == '0' {
			return authority{}, false
		}
		n = uint16(v)
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
	for i := range len(host) {
		c := host[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return host != ""
}

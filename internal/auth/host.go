package auth

import (
	"net/netip"
	"strings"
)

// Hosts are the names under which requests may ask for a server on loopback:
// localhost, every IP address, and those an operator has listed. A page whose
// own name an attacker has made to resolve to this machine (DNS rebinding)
// counts as same-origin for its browser, but cannot avoid sending that name.
type Hosts map[string]bool

// NewHosts makes a set of localhost and names, each with or without a port.
func NewHosts(names []string) Hosts {
	h := Hosts{"localhost": true}
	for _, n := range names {
		h[strings.TrimSuffix(strings.ToLower(n), ".")] = true
	}
	return h
}

// Allow reports whether host, the value of a Host field or the authority of a
// request's target, is one of them. Without a port in the list, any port will do;
// without one in host it is the default port of either scheme, since a balancer in
// front may have taken TLS off. A colon with nothing behind it is no port
// (RFC 3986, 6.2.3).
func (h Hosts) Allow(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ":")
	if h[host] || h[host+":80"] || h[host+":443"] {
		return true
	}
	a, ok := parseAuthority(host, 80) // whatever the port
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(a.host); err == nil {
		return true
	}
	return h[strings.TrimSuffix(a.host, ".")]
}

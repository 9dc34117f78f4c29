package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// unixPrefix marks a listening address as the path of a socket.
const unixPrefix = "unix:"

// checkAddress accepts host:port and unix:path.
func checkAddress(text string) string {
	if path, isUnix := strings.CutPrefix(text, unixPrefix); isUnix {
		if path == "" {
			return `has no path; write it as "unix:/run/hearth/hearth.sock"`
		}
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if _, numeric := portNumber(text); numeric {
			return fmt.Sprintf(`has no host; write it as "127.0.0.1:%s"`, text)
		}
		return `is no address; write it as "127.0.0.1:8080" or "unix:/run/hearth/hearth.sock"`
	}
	if _, ok := portNumber(port); !ok {
		return "has no port from 0 to 65535; write it as " + strconv.Quote(net.JoinHostPort(host, "8080"))
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil && !hostName.MatchString(host) {
		return `has no valid host; write an IP address or a name, such as "127.0.0.1:8080"`
	}
	return ""
}

// hostName is a name as resolvers take it, in labels of letters, digits, - and _.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// portNumber reads a port. Names of services are none: what they mean differs from
// machine to machine.
func portNumber(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

// sameAddress tells whether two listening addresses cannot both be bound.
func sameAddress(a, b string) bool {
	if strings.HasPrefix(a, unixPrefix) || strings.HasPrefix(b, unixPrefix) {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	na, _ := portNumber(portA)
	nb, _ := portNumber(portB)
	if errA != nil || errB != nil || na != nb || na == 0 { // port 0: the kernel picks a free one
		return false
	}
	// An address of all interfaces contains every other one.
	everywhere := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	return strings.EqualFold(hostA, hostB) || everywhere(hostA) || everywhere(hostB)
}

// parseNetwork parses a CIDR.
func parseNetwork(text string) (p netip.Prefix, wrong string) {
	p, err := netip.ParsePrefix(text)
	ip, isIP := netip.ParseAddr(text)
	switch {
	case isIP == nil:
		wrong = fmt.Sprintf("has no prefix length; write it as \"%s/%d\"", ip.WithZone(""), ip.BitLen())
	case err != nil:
		wrong = `is no network; write it as "10.0.0.0/8" or "fd00::/8"`
	case p != p.Masked():
		wrong = fmt.Sprintf("has bits beyond its prefix; write it as %q", p.Masked())
	}
	return p, wrong
}

// checkHost accepts what a Host header may name, without a port.
func checkHost(text string) string {
	if !hostName.MatchString(text) || text != strings.ToLower(text) {
		return `is no host name; write it in lower case, without scheme and port, such as "hearth.example.org"`
	}
	return ""
}

// checkOrigin accepts "*" and what browsers send as Origin.
func checkOrigin(text string) string {
	if text == "*" {
		return ""
	}
	const form = `is no origin; write it as "https://app.example.org", without a path`
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return form
	}
	if p := u.Port(); p != "" {
		if _, ok := portNumber(p); !ok {
			return form
		}
	}
	host := u.Host
	if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else {
		host = strings.TrimSuffix(host, ":443")
	}
	// Browsers send names in lower case and leave a usual port out.
	// Compared byte by byte with the header, so only its canonical form matches.
	if canonical := u.Scheme + "://" + strings.ToLower(host); canonical != text {
		return fmt.Sprintf("is not what browsers send; write it as %q", canonical)
	}
	return ""
}

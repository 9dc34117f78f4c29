package param

import "strings"

// FirstHost returns a database's URL with the first of its hosts alone. Several of them,
// with commas between, make no URL to package net/url, which knows one host and one port.
func FirstHost(address string) string {
	start, end := hostsOf(address)
	first, _, several := strings.Cut(address[start:end], ",")
	if !several {
		return address
	}
	return address[:start] + first + address[end:]
}

// Hosts lists the hosts of a database's URL, with their ports where they have any.
func Hosts(address string) []string {
	start, end := hostsOf(address)
	return strings.Split(address[start:end], ",")
}

// WithHost returns a database's URL with other hosts in the place of its own.
func WithHost(address, host string) string {
	start, end := hostsOf(address)
	return address[:start] + host + address[end:]
}

// hostsOf finds the hosts: behind the account, and ahead of the path. An @ of a password
// is percent-encoded, or else the account ends with the last one.
func hostsOf(address string) (start, end int) {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		return len(address), len(address)
	}
	start = len(scheme) + len("://")
	end = start + len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = start + i
	}
	return start + strings.LastIndexByte(address[start:end], '@') + 1, end
}

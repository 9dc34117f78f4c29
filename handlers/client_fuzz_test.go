package handlers

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// FuzzClient holds the walk through X-Forwarded-For against the rules, said
// again in plain words by clientByTheRules, and against what must hold whatever
// the rules are. The list's lines are separated by newlines; a peer that is no
// address stands for a unix socket.
func FuzzClient(f *testing.F) {
	for _, list := range []string{
		"198.51.100.1", "8.8.8.8, 198.51.100.1\n10.0.0.2", "unknown, 10.0.0.2", "[2001:db8::1]:80,fd00::1", "198.51.100.1:80,\t::ffff:10.0.0.2",
	} {
		f.Add("10.0.0.1", list, "8.8.8.8, 10.0.0.9")
		f.Add("203.0.113.9", list, "10.0.0.1")
		f.Add("unix", list, "_hidden")
	}
	trusted := trusting("10.0.0.0/8", "fd00::/8")
	f.Fuzz(func(t *testing.T, peerText, list, left string) {
		peer, _ := netip.ParseAddr(peerText)
		peer = peer.Unmap().WithZone("")
		forwarded := bytes.Split([]byte(list), []byte("\n"))
		got, foreign := trusted.client(peer, forwarded)
		if !trusted.trusts(peer) && (got != group(peer) || !foreign) {
			t.Errorf("peer %v is not trusted: client %v, foreign %v", peer, got, foreign)
		}
		want, found := clientByTheRules(peer, strings.ReplaceAll(list, "\n", ","))
		if got != want {
			t.Errorf("peer %v, list %q: client %v, want %v", peer, list, got, want)
		}
		// Written in one line or in several, a list is the same.
		joined := bytes.Join(forwarded, []byte(","))
		if one, _ := trusted.client(peer, [][]byte{joined}); one != got {
			t.Errorf("peer %v, list %q: client %v, in one line %v", peer, list, got, one)
		}
		// Who writes to the left of an address that is not trusted gains nothing.
		if found {
			before := append([][]byte{[]byte(left)}, forwarded...)
			after, _ := trusted.client(peer, before)
			same, _ := trusted.client(peer, [][]byte{[]byte(left + "," + string(joined))})
			if after != got || same != got {
				t.Errorf("peer %v, list %q: client %v, with %q before it %v and %v", peer, list, got, left, after, same)
			}
		}
	})
}

// clientByTheRules is client in plain words: the list is one line here. found
// says that an address stopped the walk because nobody trusts it.
func clientByTheRules(peer netip.Addr, list string) (client netip.Addr, found bool) {
	trusted := func(a netip.Addr) bool {
		return !a.IsValid() || netip.MustParsePrefix("10.0.0.0/8").Contains(a) || netip.MustParsePrefix("fd00::/8").Contains(a)
	}
	grouped := func(a netip.Addr) netip.Addr {
		if a.Is6() {
			return netip.PrefixFrom(a, 64).Masked().Addr()
		}
		return a
	}
	client = peer
	elements := strings.Split(list, ",")
	for looked := 0; trusted(client) && len(elements) > 0 && looked < maxHops; looked++ {
		last := strings.Trim(elements[len(elements)-1], " \t")
		elements = elements[:len(elements)-1]
		if last == "" {
			continue
		}
		hop, ok := hopByTheRules(last)
		if !ok {
			break
		}
		client = hop
		found = !trusted(hop)
	}
	return grouped(client), found
}

func hopByTheRules(text string) (netip.Addr, bool) {
	host := text
	if h, port, err := net.SplitHostPort(text); err == nil && (strings.HasPrefix(text, "[") || !strings.Contains(h, ":")) {
		if _, err := netip.ParseAddrPort("0.0.0.0:" + port); err != nil || len(port) > 5 {
			return netip.Addr{}, false
		}
		host = h
	} else if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		host = text[1 : len(text)-1]
	}
	a, err := netip.ParseAddr(host)
	if name, zone, found := strings.Cut(host, "%"); err != nil && found && zone == "" {
		a, err = netip.ParseAddr(name) // an empty zone is as good as none
		if a.Is4() {
			return netip.Addr{}, false
		}
	}
	if err != nil || strings.HasPrefix(text, "[") && !a.Is6() {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

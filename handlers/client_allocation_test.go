//go:build !race

package handlers

import (
	"net"
	"net/netip"
	"testing"
)

// TestClientAllocatesNothing on the paths that requests usually take.
func TestClientAllocatesNothing(t *testing.T) {
	for name, c := range clientCases() {
		ctx := hotContext("/user/1", c.fields...)
		ctx.SetRemoteAddr(c.peer)
		var got netip.Addr
		allocations := testing.AllocsPerRun(1000, func() { got, _ = c.proxies.clientOf(ctx.RemoteAddr(), &ctx.Request.Header) })
		if allocations != 0 {
			t.Errorf("%s: %v allocations, want 0", name, allocations)
		}
		if got != addr(c.want) {
			t.Errorf("%s: client %v, want %q", name, got, c.want)
		}
	}
}

func BenchmarkClient(b *testing.B) {
	for name, c := range clientCases() {
		b.Run(name, func(b *testing.B) {
			ctx := hotContext("/user/1", c.fields...)
			ctx.SetRemoteAddr(c.peer)
			b.ReportAllocs()
			for b.Loop() {
				c.proxies.clientOf(ctx.RemoteAddr(), &ctx.Request.Header)
			}
		})
	}
}

type clientCase struct {
	proxies *proxies
	peer    net.Addr
	want    string
	fields  []string
}

func clientCases() map[string]clientCase {
	v4 := &net.TCPAddr{IP: net.IP{10, 0, 0, 1}, Port: 80}
	v6 := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 80, Zone: "eth0"}
	mapped := &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 80}
	trusted := trusting("10.0.0.0/8", "fd00::/8")
	return map[string]clientCase{
		"no_proxies":   {trusting(), v4, "10.0.0.1", []string{"Accept", "*/*"}},
		"zone":         {trusting(), v6, "fe80::", nil},
		"mapped":       {trusting(), mapped, "10.0.0.1", nil},
		"foreign":      {trusting(), v4, "10.0.0.1", []string{nameForwardedFor, "198.51.100.1"}},
		"proxy":        {trusted, v4, "198.51.100.1", []string{nameForwardedFor, "198.51.100.1"}},
		"proxy_v6":     {trusted, v4, "2001:db8:1:2::", []string{nameForwardedFor, "2001:db8:1:2:3:4:5:6"}},
		"two_proxies":  {trusted, mapped, "198.51.100.1", []string{nameForwardedFor, "8.8.8.8, 198.51.100.1:4711, [fd00::1]:80"}},
		"unix":         {trusting(), &net.UnixAddr{Net: "unix"}, "198.51.100.1", []string{nameForwardedFor, "198.51.100.1"}},
		"unix_nothing": {trusting(), &net.UnixAddr{Net: "unix"}, "", nil},
	}
}

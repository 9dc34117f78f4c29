//go:build !race

package handlers

import (
	"strings"
	"testing"
)

// TestWirePathDoesNotAllocate, whatever kind of hit it is.
func TestWirePathDoesNotAllocate(t *testing.T) {
	p := newWirePair(t)
	listed := newWirePair(t, func(c *Config, _ *Deps) { c.CORS.Origins = []string{"https://app.test"} })
	authorised := newWirePair(t, func(c *Config, _ *Deps) { c.Honor = HonorAuthorised })
	etag := etagOf(t, p)
	for name, c := range map[string]struct {
		on *wireServer
		in string
	}{
		"one":           {p.on, wireGet("/user/1")},
		"16":            {p.on, strings.Repeat(wireGet("/user/1")+wireHEAD("/user/404"), 8)},
		"gzip":          {p.on, wireGet("/user/9", "Accept-Encoding: br, gzip", "Accept: */*")},
		"304":           {p.on, wireGet("/user/1", "If-None-Match: "+etag)},
		"strings":       {p.on, wireGet("/item/a_b.c?x=1")},
		"request id":    {p.on, wireGet("/user/1", "X-Request-Id: a")},
		"directives":    {p.on, wireGet("/user/1", "Cache-Control: max-age=0", "Pragma: no-cache", "Authorization: Bearer x")},
		"a stranger's":  {authorised.on, wireGet("/user/1", "Cache-Control: no-cache", "Pragma: no-cache") + wireGet("/user/1", "Authorization: Bearer x")},
		"listed origin": {listed.on, wireGet("/user/1", "Origin: https://app.test") + wireGet("/user/1", "Origin: https://x.test")},
	} {
		in, out, conn := []byte(c.in), make([]byte, 0, 64<<10), &scripted{}
		answered := 0
		got := testing.AllocsPerRun(200, func() { answered, _ = c.on.Answer(conn, in, out) })
		if answered != len(in) || got != 0 {
			t.Errorf("%s: answered %d of %d bytes with %v allocations, want all with 0", name, answered, len(in), got)
		}
	}
}

// BenchmarkWirePath is BenchmarkHit with all that fasthttp does for one, reading and
// writing excepted.
func BenchmarkWirePath(b *testing.B) {
	p := newWirePair(b)
	for name, n := range map[string]int{"one": 1, "16": 16} {
		b.Run(name, func(b *testing.B) {
			in := []byte(strings.Repeat(wireGet("/user/1"), n))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				out, conn := make([]byte, 0, 64<<10), &scripted{}
				for pb.Next() {
					if answered, _ := p.on.Answer(conn, in, out); answered != len(in) {
						b.Errorf("answered %d of %d bytes", answered, len(in))
						return
					}
				}
			})
		})
	}
}

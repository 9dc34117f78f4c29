package handlers

import (
	"strings"
	"testing"

	"hearth/cache"
)

// keepingLittle are two servers whose memory keeps next to nothing, so that nearly every
// read asks the shared tier.
func keepingLittle(tb testing.TB) *wirePair {
	return newWirePair(tb, func(_ *Config, d *Deps) {
		d.Cache = openCache(tb, func(c *cache.Config) { c.MissingRate, c.Budget = 1<<30, 1<<10 })
	})
}

// TestMissesOfTheWirePath: what memory lacks is answered with the same bytes, and counted the
// same, whichever way it takes.
func TestMissesOfTheWirePath(t *testing.T) {
	for name, p := range map[string]*wirePair{"kept": newWirePair(t), "not kept": keepingLittle(t)} {
		t.Run(name, func(t *testing.T) {
			etag := etagOf(t, p)
			// A batch and a PUT drop what memory has, so that the next read asks the shared tier.
			item := wirePOST("/batch_process", `[{"id":"a_b.c","n":1}]`)
			for _, read := range []string{
				wireGet("/user/1"), wireHEAD("/user/1"), wireGet("/user/1", "If-None-Match: "+etag), wireGet("/user/1", "If-None-Match: *"), wireGet("/user/1", "X-Request-Id: abc-1"),
				wireGet("/user/1", "Origin: https://app.test"), wireGet("/user/9"), wireGet("/user/9", "Accept-Encoding: gzip"), wireHEAD("/user/9"), wireGet("/user/9", "If-None-Match: *"),
				wireGet("/user/404"), wireHEAD("/user/404"), wireGet("/user/404", "If-None-Match: *"), wireGet("/item/a_b.c"), wireGet("/item/none"), wireGet("/user/555"),
				wireGet("/bare/" + bareID), wireGet("/bare/"+bareID, "If-None-Match: *"), wireGet("/user/1", "If-Match: *"),
			} {
				p.same(t, []byte(item+read))
				p.same(t, []byte(read), []byte(read))
				p.same(t, []byte(wireGet("/user/2")+read+wireGet("/user/2")+read))
				p.same(t, []byte(read[:len(read)/2]), []byte(read[len(read)/2:]))
			}
			p.sameCounts(t, "misses")
		})
	}
}

// TestAMissOnTheWirePathTakesAPlace, as any work beyond memory does, and fasthttp refuses
// what finds none.
func TestAMissOnTheWirePathTakesAPlace(t *testing.T) {
	p := keepingLittle(t)
	in := []byte(wireGet("/user/1"))
	answer := func() (int, string) {
		n, out := p.on.Answer(&scripted{}, in, nil)
		return n, string(out)
	}
	if n, out := answer(); n != len(in) || !strings.Contains(out, "; hit, Hearth-Memory; fwd=miss\r\n") && !strings.Contains(out, "Hearth-Embedded; hit") {
		t.Fatalf("answered %d of %d bytes: %s", n, len(in), out)
	}
	for name, full := range map[string]func() func(){
		"no place is left": func() func() {
			p.on.inFlight.Add(int64(p.on.config.MaxInFlight))
			return func() { p.on.inFlight.Add(-int64(p.on.config.MaxInFlight)) }
		},
		"another server has taken over": func() func() {
			p.on.successor.Store(p.off.Server)
			return func() { p.on.successor.Store(nil) }
		},
		"requests are logged": func() func() {
			p.on.config.AccessSample = 1
			return func() { p.on.config.AccessSample = 0 }
		},
	} {
		undo := full()
		if n, out := answer(); n != 0 || out != "" {
			t.Errorf("%s: answered %d bytes: %s", name, n, out)
		}
		undo()
		if n := p.on.inFlight.Load(); n != 0 || p.on.Busy() {
			t.Errorf("%s: %d requests at work are left, busy %v", name, n, p.on.Busy())
		}
	}
	if n, _ := answer(); n != len(in) {
		t.Error("nothing is answered any more")
	}
}

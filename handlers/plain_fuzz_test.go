package handlers

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// What ReadPlain takes, fasthttp takes and reads in the same way, to the same byte, and none
// of the rules of framing finds a fault in. It takes nothing of which a part is missing.
func FuzzPlain(f *testing.F) {
	for _, seed := range streams(`W/"x"`) {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var p framing.Plain
		n := framing.ReadPlain(wire, &p)
		if n == 0 {
			return
		}
		var part framing.Plain
		if got := framing.ReadPlain(wire[:n-1], &part); got != 0 {
			t.Fatalf("takes %d bytes of a part", got)
		}
		in := bufio.NewReaderSize(bytes.NewReader(wire), len(wire)+16)
		var r fasthttp.Request
		h := &r.Header
		if err := h.Read(in); err != nil {
			t.Fatalf("fasthttp refuses it: %v", err)
		}
		if left := in.Buffered(); len(wire)-left != n {
			t.Fatalf("fasthttp reads %d bytes, not %d", len(wire)-left, n)
		}
		content, err := checkFraming(h)
		if err != nil || content.Present() || !ends(h) || uriFault(&r) != nil {
			t.Fatalf("refused with %v, or has content: %+v, or its URI is refused: %v", err, content, uriFault(&r))
		}
		if h.ConnectionClose() || h.ConnectionUpgrade() || r.MayContinue() || !h.IsHTTP11() || p.Head != h.IsHead() || p.Head == h.IsGet() ||
			!bytes.Equal(p.Target, h.RequestURI()) || len(h.PeekAll("If-Match")) > 0 {
			t.Fatalf("fasthttp reads %q", h.Header())
		}
		if _, asks, _ := framing.Header(h.RawHeaders()); asks != p.Asks {
			t.Fatalf("asks with %v, but Header has %v", p.Asks, asks)
		}
		for name, value := range map[string][]byte{
			"Accept-Encoding": p.AcceptEncoding, "If-None-Match": p.IfNoneMatch, "Origin": p.Origin, "X-Request-Id": p.RequestID,
		} {
			lines := h.PeekAll(name)
			if len(lines) > 1 || !bytes.Equal(h.Peek(name), value) || (value != nil) != (len(lines) == 1) {
				t.Fatalf("%s is %q to fasthttp, not %q", name, lines, value)
			}
		}
	})
}

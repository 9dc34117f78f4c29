package param_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"hearth/internal/param"
)

// Two different values never give one key, a value read back out of its key
// is the same value, and the fast path's idea of canonical agrees with parse.
func FuzzParameter(f *testing.F) {
	for _, seed := range []string{"1", "01", "-0", "+1", "a/b", "%31", "%zz", "%2525", "a:b{c}", "é", "\xff", "a\x00b", "~@-._",
		"123E4567-e89b-12d3-a456-426614174000", "9223372036854775808", "a+b"} {
		f.Add(seed, "1")
	}
	f.Fuzz(func(t *testing.T, rawA, rawB string) {
		for _, kind := range []param.Kind{param.Int, param.String, param.UUID} {
			p := param.Param{Name: "id", Type: kind}
			a, okA := readParameter(t, p, rawA)
			b, okB := readParameter(t, p, rawB)
			if okA && okB && (a.Segment == b.Segment) != (a.Arg == b.Arg) {
				t.Errorf("%v: %q and %q: segments %q and %q, values %v and %v", kind, rawA, rawB, a.Segment, b.Segment, a.Arg, b.Arg)
			}
		}
	})
}

func readParameter(t *testing.T, p param.Param, raw string) (param.Value, bool) {
	t.Helper()
	text, ok := param.Decode([]byte(raw), false)
	if back, ok := param.Decode([]byte(param.Encode(raw)), false); !ok || back != raw {
		t.Fatalf("%q encoded and decoded is %q, %v", raw, back, ok)
	}
	canonical := p.Type.IsCanonical([]byte(raw))
	if !ok {
		if canonical {
			t.Fatalf("%q is canonical and cannot be decoded", raw)
		}
		return param.Value{}, false
	}
	v, reason := p.Parse(text)
	if reason != "" {
		if canonical {
			t.Fatalf("%q is canonical and %s", raw, reason)
		}
		return param.Value{}, false
	}
	if canonical && v.Segment != raw {
		t.Fatalf("%q is canonical, but its segment is %q", raw, v.Segment)
	}
	if strings.ContainsAny(v.Segment, ":{}/ \r\n") || len(v.Segment) > param.MaxSegment {
		t.Fatalf("segment of %q can leave its place in a key: %q", raw, v.Segment)
	}
	back, err := url.PathUnescape(v.Segment)
	if err != nil || back != fmt.Sprint(v.Arg) {
		t.Fatalf("segment %q of %q reads back as %q (%v), want %v", v.Segment, raw, back, err, v.Arg)
	}
	if again, reason := p.Parse(back); reason != "" || again != v {
		t.Fatalf("%q is not stable: %v became %v, %s", raw, v, again, reason)
	}
	return v, true
}

package param_test

import (
	"strings"
	"testing"

	"hearth/internal/param"
)

func TestUUIDs(t *testing.T) {
	const good = "123e4567-e89b-12d3-a456-426614174000"
	f := func(text string, parses, canonical bool) {
		t.Helper()
		v, reason := param.Param{Name: "id", Type: param.UUID}.Parse(text)
		if (reason == "") != parses || parses && v.Segment != good {
			t.Errorf("%s: got %q, %q", text, v.Segment, reason)
		}
		if got := param.UUID.IsCanonical([]byte(text)); got != canonical {
			t.Errorf("%s: canonical is %v", text, got)
		}
	}
	f(good, true, true)
	f(strings.ToUpper(good), true, false)
	f("x"+good[1:], false, false)
	f("g"+good[1:], false, false)
	f(strings.ReplaceAll(good, "-", "0"), false, false)
	f("-"+good[1:], false, false)
	f(good[1:], false, false)
	f(good+"0", false, false)
	f("{"+good[:35], false, false)
}

func TestDecode(t *testing.T) {
	f := func(raw string, plus bool, want string, ok bool) {
		t.Helper()
		if got, good := param.Decode([]byte(raw), plus); got != want || good != ok {
			t.Errorf("%s, plus %v: got %q, %v", raw, plus, got, good)
		}
	}
	f("a%2525+b", false, "a%25+b", true)
	f("a%2525+b", true, "a%25 b", true)
	f("%2", false, "", false)
	f("%zz", true, "", false)
	f("%00%ff", false, "\x00\xff", true)
}

func TestUnescape(t *testing.T) {
	for raw, want := range map[string]string{"a%2fb": "a/b", "%2525": "%25", "100%": "100%", "%zz%41": "%zzA", "%2": "%2", "%%41": "%A", "%ff": "\xff"} {
		if got := param.Unescape(raw); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

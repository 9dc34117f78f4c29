package shared

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// What a key holds is a value only if it is JSON, and a lease or a guard only by
// its first bytes, which no JSON begins with. Nothing is both.
func FuzzClassify(f *testing.F) {
	for _, seed := range []string{`{"id":1}`, "null", " null\n", "lease:abc", "guard:a,b", "guard+:a", "guard", "lease", `"lease:x"`, "", "nul", "\xff", "\"\xff\"", `"\ud800"`, "\u00a0null", "1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		was := bytes.Clone(raw)
		r := Parse(raw, time.Second)
		if !bytes.Equal(raw, was) || r.TTL != time.Second {
			t.Fatalf("%q was changed, or its lifetime, %v", was, r.TTL)
		}
		valid, text := json.Valid(raw) && utf8.Valid(raw), string(raw)
		lease := strings.HasPrefix(text, "lease:")
		guard := strings.HasPrefix(text, "guard:") || strings.HasPrefix(text, "guard+:")
		switch r.State {
		case Lease:
			if !lease || r.Text != text || valid {
				t.Errorf("%q is a lease, %q", raw, r.Text)
			}
		case Guard:
			if !guard || r.Text != text || valid {
				t.Errorf("%q is a guard, %q", raw, r.Text)
			}
		case NoRecord:
			if strings.Trim(text, " \t\r\n") != "null" || string(r.Data) != "null" {
				t.Errorf("%q is a missing record", raw)
			}
		case Value:
			if !valid || lease || guard || string(r.Data) != text {
				t.Errorf("%q is a value, %q", raw, r.Data)
			}
		case Malformed:
			if valid && !strings.Contains(strings.ToLower(text), `\ud`) && !strings.Contains(text, "[[") || lease || guard {
				t.Errorf("%q is no value", raw)
			}
		default:
			t.Errorf("%q is in state %v", raw, r.State)
		}
	})
}

// The key of a refresh stands on its record's node, and is that of one record.
func FuzzSibling(f *testing.F) {
	f.Add("user:1", "user:2")
	f.Add("a{b}c", "a")
	f.Add("{}", "}")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := SiblingOf(a), SiblingOf(b)
		if x != "" && a != b && x == y {
			t.Errorf("%q and %q share %q", a, b, x)
		}
		if x == "" {
			return
		}
		// A cluster hashes what is between the first brace and the next closing
		// one, unless that is nothing.
		_, tag, _ := strings.Cut(x, "{")
		tag, _, closed := strings.Cut(tag, "}")
		if a != "" && (!closed || tag != a) {
			t.Errorf("%q hashes as %q, its record as %q", x, tag, a)
		}
	})
}

// A counter is read back as it was written, and nothing else is one.
func FuzzCount(f *testing.F) {
	f.Add("1")
	f.Add("-9223372036854775808")
	f.Add("9223372036854775808")
	f.Add(" 1")
	f.Add("1.0")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseCount("k", []byte(text))
		if err != nil {
			return
		}
		if again, err := ParseCount("k", []byte(strconv.FormatInt(n, 10))); err != nil || again != n {
			t.Errorf("%q is %d, which reads back as %d, %v", text, n, again, err)
		}
		if strings.Trim(text, "+-0123456789") != "" {
			t.Errorf("%q is the number %d", text, n)
		}
	})
}

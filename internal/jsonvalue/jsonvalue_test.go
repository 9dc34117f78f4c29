package jsonvalue

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// TestValid goes through what readers of JSON differ about.
func TestValid(t *testing.T) {
	t.Parallel()
	f := func(text string, want bool) {
		t.Helper()
		if len(text) > 40 {
			defer t.Logf("of %d bytes", len(text))
		}
		if got := Valid([]byte(text)); got != want {
			t.Errorf("Valid(%.40q): got %v, want %v", text, got, want)
		}
		if got := jsontext.Value(text).IsValid(twins); got != want {
			t.Errorf("a decoder alone, of %.40q: got %v, want %v", text, got, want)
		}
		if _, err := Compact([]byte(text)); (err == nil) != want {
			t.Errorf("Compact(%.40q): got %v, want JSON %v", text, err, want)
		}
	}
	for _, text := range []string{
		`{}`, ` [1, "a"] ` + "\r\n\t", `null`, `"\u0000\ud83d\ude00"`, "\"\x7f\u2028\"", `-0.0e-400`, `123456789012345678901234567890`,
		`{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, `{"a":[{"a":[{"a":"\n"}]}]}`, nested(64), nested(65), nested(10000),
	} {
		f(text, true)
	}
	for what, text := range map[string]string{
		"nothing": "", "blanks": " ", "a byte that is no UTF-8": "\"\xff\"", "Latin-1": "{\"name\":\"Andr\xe9\"}",
		"UTF-8 cut short": "\"\xe5\x8c\"", "an overlong form": "\"\xc0\x80\"", "half a surrogate pair as bytes": "\"\xed\xa0\x80\"",
		"half a pair as an escape": `"\ud800"`, "the other half": `"\udc00"`, "halves the wrong way round": `"\udc00\ud800"`,
		"half a pair in a name": `{"\ud800":1}`, "a byte order mark": "\ufeff{}", "UTF-16": "{\x00}\x00",
		"NUL behind it": "{}\x00", "a control byte in a string": "\"\x00\"", "a line break in a string": "\"\n\"",
		"a blank of Unicode": "\u00a0null", "NaN": "NaN", "Infinity": "-Infinity", "a leading zero": "01", "a plus": "+1", "no digits behind the point": "1.",
		"no digits before it": ".5", "hexadecimal": "0x1", "two values": "{} {}", "a comma too many": "[1,]", "a comment": "{}//", "single quotes": "{'a':1}",
		"an unknown escape": `"\x"`, "cut short": `{"a":`, "too deep": nested(10001), "a lease": "lease:abc", "a guard": "guard:abc@1",
	} {
		t.Run(what, func(t *testing.T) { f(text, false) })
	}
}

func TestMend(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		was := text
		got, err := Mend([]byte(text))
		if err != nil {
			got = []byte("error")
		}
		if string(got) != want || text != was {
			t.Errorf("Mend(%q): got %s, %v, want %s", text, got, err, want)
		}
	}
	f(` {"b": 1.50, "a": "\u003c", "a": 1e400} `, `{"b":1.50,"a":"\u003c","a":1e400}`)
	f("\"a\xffb\"", "\"a\uFFFDb\"")
	f(`["\ud800x", 1.50]`, "[\"\uFFFDx\",1.50]")
	f(`{"\udc00": 1}`, "{\"\uFFFD\":1}")
	f("{oops", "error")
	f("\ufeff{}", "error")
	f("", "error")
}

// What is JSON is JSON to other readers, too, and stays so when it is written.
func FuzzMend(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\ud800"]}`, "\"\xff\"", `{"a":1,"a":2}`, "1e5", "\ufeff1", " null "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		valid := Valid(text)
		if valid != jsontext.Value(text).IsValid(twins) {
			t.Fatalf("%q: valid %v, and a decoder alone differs", text, valid)
		}
		if valid && (!json.Valid(text) || !utf8.Valid(text)) {
			t.Fatalf("%q counts as JSON", text)
		}
		if got, err := Mend(text); err == nil && !Valid(got) || err != nil && valid {
			t.Fatalf("%q was mended to %q, %v", text, got, err)
		}
	})
}

package source

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Whatever a database sends as the text of a value, what is written of it is one
// JSON value or an error.
func FuzzColumn(f *testing.F) {
	for kind, seeds := range map[valueKind][]string{
		kindText: {"a\"b\x00", "\xff"}, kindNumber: {"1.50", "NaN", "-Infinity", "1e5", "01", "-"},
		kindBool: {"t", "f", ""}, kindBytes: {`\x00ff`, `\x0`, `a\\b\001`, `\1`}, kindJSON: {`{"a": 1.0}`, "{", "\xff"},
		kindDate: {"2024-02-29", "infinity", "0044-03-15 BC"}, kindTime: {"2024-02-29 12:00:00.1"},
		kindTimeZone: {"2024-02-29 12:00:00+02", "2024-02-29 12:00:00-00:00:01"},
	} {
		for _, seed := range seeds {
			f.Add(int(kind), seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, text string) {
		k := valueKind(kind)
		if k < kindText || k > kindTimeZone {
			return
		}
		got, err := postgresType{kind: k}.append(nil, []byte(text))
		if err != nil {
			return
		}
		if !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("kind %d, %q: %s is no JSON", k, text, got)
		}
		if k == kindNumber && string(got) != "null" && string(got) != text {
			t.Fatalf("the number %q became %s", text, got)
		}
		if k == kindText && utf8.ValidString(text) {
			var back string
			if err := json.Unmarshal(got, &back); err != nil || back != text {
				t.Fatalf("the text %q became %s, which is %q (%v)", text, got, back, err)
			}
		}
	})
}

// An array as PostgreSQL writes it reads back as the elements it was made of, and
// no text at all makes the reader fail but with an error.
func FuzzArray(f *testing.F) {
	f.Add("a", `b"\,{}`, "NULL", `{1,NULL,"a b"}`)
	f.Add("", " ", "null", `[0:1]={{1,2},{3,4}}`)
	f.Add("é", "\\", "{", `{"`)
	f.Fuzz(func(t *testing.T, a, b, c, text string) {
		typ := postgresType{kind: kindText, array: true, delimiter: ','}
		if strings.Count(text, "{") <= 100 { // PostgreSQL's own bound is six
			if got, err := typ.append(nil, []byte(text)); err == nil && !jsontext.Value(got).IsValid() {
				t.Fatalf("%q: %s is no JSON", text, got)
			}
		}
		want := []string{a, b, c}
		var parts []string
		for _, e := range want {
			if !utf8.ValidString(e) {
				return
			}
			parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e)+`"`)
		}
		got, err := typ.append(nil, []byte("{"+strings.Join(parts, ",")+"}"))
		var back []string
		if err == nil {
			err = json.Unmarshal(got, &back)
		}
		if err != nil || strings.Join(back, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q came back as %q (%v)", want, back, err)
		}
	})
}

// isNumber agrees with encoding/json and with strconv.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"1", "-0", "1.", ".5", "1e+5", "0x1", "1_0", " 1", "1 ", "01", "9999999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var n json.Number
		want := json.Unmarshal([]byte(text), &n) == nil && n.String() == text && text != ""
		if got := isNumber([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
		if _, err := strconv.ParseFloat(text, 64); want && err != nil && !strings.Contains(err.Error(), "range") {
			t.Errorf("%q is a number to JSON: %v", text, err)
		}
	})
}

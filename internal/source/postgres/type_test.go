package postgres

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/engine"
)

// Whatever a database sends as the text of a value, what is written of it is one
// JSON value or an error.
func FuzzColumn(f *testing.F) {
	for kind, seeds := range map[engine.Type][]string{
		engine.TypeText: {"a\"b\x00", "\xff"}, engine.TypeNumber: {"1.50", "NaN", "-Infinity", "1e5", "01", "-"},
		engine.TypeBool: {"t", "f", ""}, engine.TypeBytes: {`\x00ff`, `\x0`, `a\\b\001`, `\1`}, engine.TypeJSON: {`{"a": 1.0}`, "{", "\xff"},
		engine.TypeDate: {"2024-02-29", "infinity", "0044-03-15 BC"}, engine.TypeTime: {"2024-02-29 12:00:00.1"},
		engine.TypeTimeZone: {"2024-02-29 12:00:00+02", "2024-02-29 12:00:00-00:00:01"},
	} {
		for _, seed := range seeds {
			f.Add(int(kind), seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, text string) {
		k := engine.Type(kind)
		if k < engine.TypeText || k > engine.TypeTimeZone {
			return
		}
		got, err := valueType{base: k}.append(nil, []byte(text))
		if err != nil {
			return
		}
		if !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Fatalf("kind %d, %q: %s is no JSON", k, text, got)
		}
		if k == engine.TypeNumber && string(got) != "null" && string(got) != text {
			t.Fatalf("the number %q became %s", text, got)
		}
		if k == engine.TypeText && utf8.ValidString(text) {
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
		typ := valueType{base: engine.TypeText, array: true, delimiter: ','}
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

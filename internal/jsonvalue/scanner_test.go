package jsonvalue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// strict is what a decoder says of the object that text begins with: where it ends, the
// value of its member, how deep it is, and whether it has what the scanner leaves to a
// decoder. end is -1 if it is none.
func strict(text []byte, member string) (value []byte, end, depth int, left bool) {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, -1, 0, false
	}
	for {
		inner := dec.StackDepth()
		kind, count := jsontext.KindNull, int64(0)
		if inner > 0 {
			kind, count = dec.StackIndex(inner)
		}
		isName := kind == jsontext.KindBeginObject && count%2 == 0 && dec.PeekKind() != jsontext.KindEndObject
		before := dec.InputOffset()
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, -1, 0, false
		}
		depth = max(depth, dec.StackDepth())
		if isName {
			raw := text[before:dec.InputOffset()]
			left = left || bytes.ContainsRune(raw, '\\') || count/2 >= maxMembers
			if inner == 1 && tok.String() == member {
				if value, err = dec.ReadValue(); err != nil {
					return nil, -1, 0, false
				}
				value = bytes.Clone(value)
				nested := jsontext.NewDecoder(bytes.NewReader(value))
				for {
					if _, err := nested.ReadToken(); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						return nil, -1, 0, false
					}
					depth = max(depth, 1+nested.StackDepth())
				}
				left = left || bytes.ContainsRune(value, '\\') || len(value) > 100
			}
		}
		if dec.StackDepth() == 0 {
			return value, int(dec.InputOffset()), depth, left
		}
	}
}

// agree compares the scanner with a decoder.
func agree(t *testing.T, text []byte, depth int) {
	t.Helper()
	var s Scanner
	s.Reset(text)
	value, end := s.Object(0, depth, "id")
	want, wantEnd, levels, left := strict(text, "id")
	switch {
	case end >= 0 && (end != wantEnd || string(value) != string(want) || (value == nil) != (want == nil)):
		t.Errorf("%q: the scanner takes it up to %d, with the id %q; the decoder up to %d, with %q", text, end, value, wantEnd, want)
	case end >= 0 && levels > depth:
		t.Errorf("%q: the scanner takes %d levels, %d are allowed", text, levels, depth)
	case end < 0 && wantEnd >= 0 && levels <= depth && !left:
		t.Errorf("%q: the scanner does not take it, and need not leave it", text)
	}
}

// TestScanner goes through what a scanner can get wrong, at all places of a word.
func TestScanner(t *testing.T) {
	t.Parallel()
	many := strings.Builder{}
	for i := range maxMembers + 1 {
		fmt.Fprintf(&many, `"m%d":%d,`, i, i)
	}
	for _, text := range []string{
		`{}`, `{ }`, `{"id":1}`, ` {"id":1}`, `[]`, `{"id":1}x`, `{"id":1} {}`, `{"id":{"id":2}}`, `{"a":{"id":2}}`, `{"id":[1,{"a":"]}"}],"b":null}`,
		`{"a":1,"id":"x" , "b" : [ true , false , null ] }`, "{\r\n\t\"id\"\t:\n1\r}", `{"id":1,}`, `{"id":1,,"a":2}`, `{,}`, `{"id"}`, `{"id":}`, `{id:1}`, `{"id":1`, `{"id":[1}`, `{"id":[1,]}`, `{"id":[,1]}`,
		`{"id":1,"id":2}`, `{"id":1,"a":{"b":1,"b":2}}`, `{"a":{"b":1},"c":{"b":2}}`, `{"b":1,"c":{"b":2}}`, `{"":1,"":2}`, `{"":1}`, `{"i\u0064":1}`, `{"id":1,"\u0069d":2}`,
		`{"12345678":1,"12345678":2}`, `{"12345678":1,"123456789":2}`, `{"123456789abc":1,"123456789abc":2}`, `{"12345678xx12345678":1,"12345678yy12345678":2}`, `{"1234567":1,"1234567\u0000":1}`,
		`{"é":1,"é":2}`, `{"é":1,"è":2}`, "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":\"\xe5\x8c\"}", "{\"a\":\"\xf4\x90\x80\x80\"}", `{"a":"北京 \ufffd �"}`, "{\"a\":\"\x7f\u2028\"}",
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`, `{"a":"\udc00"}`, `{"a":"\ud83dx"}`, `{"a":"\ud83d\u0041"}`, `{"a":"\ud83d\ud83d"}`, `{"a":"\uD83D\uDE00\u00e9"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\x"}`, `{"a":"\`, `{"a":"\"\\\/\b\f\n\r\t"}`, `{"a":"\u`,
		"{\"a\":\"\x00\"}", "{\"a\":\"\x1f\"}", "{\"a\":\"\n\"}", "{\"a\x01\":1}",
		`{"a":01}`, `{"a":-0}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1.5e+10}`, `{"a":1E-2}`, `{"a":1e}`, `{"a":+1}`, `{"a":0x1}`, `{"a":-01}`, `{"a":123456789012345678901234567890}`, `{"a":NaN}`, `{"a":tru}`, `{"a":truex}`, `{"a":nul`, `{"a":1 2}`, `{"a":"b" "c"}`,
		"\ufeff{}", "{}\x00", "{\u00a0}", `{"a":` + nested(3) + `}`, `{"a":` + nested(4) + `}`, `{"a":{"b":{"c":{}}}}`, `{"a":{"b":{"c":{"d":{}}}}}`,
		`{` + strings.TrimSuffix(many.String(), ",") + `}`, `{` + strings.TrimSuffix(many.String(), `"m64":64,`) + `"last":1}`,
	} {
		for pad := range 9 { // strings begin and end at each byte of a word
			agree(t, []byte(strings.ReplaceAll(text, `"a"`, `"`+strings.Repeat("a", pad+1)+`"`)), 4)
			agree(t, []byte(strings.ReplaceAll(text, `:"`, `:"`+strings.Repeat("z", pad))), 4)
		}
		for cut := range text {
			agree(t, []byte(text[:cut]), 4)
		}
	}
}

// Whatever the scanner takes, a decoder takes up to the same place.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"id":1,"a":[1.5e-3,"\ud83d\ude00",{}],"b":{"id":null}}`, "{\"a\":\"\xff\"}", `{"aaaaaaaaaa":1,"aaaaaaaaaa":2}`, `{"a":"` + strings.Repeat("x", 30) + `\n"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { agree(t, text, 4) })
}

func BenchmarkValid(b *testing.B) {
	text := []byte(`{"id":1234,"name":"item number 1234","price":17.50,"tags":["a","b"]}`)
	for name, valid := range map[string]func() bool{
		"scanner": func() bool { return Valid(text) }, "decoder": func() bool { return jsontext.Value(text).IsValid(twins) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !valid() {
					b.Fatal("not valid")
				}
			}
		})
	}
}

func BenchmarkScanner(b *testing.B) {
	text := []byte(`{"id":1234,"name":"item number 1234","price":17.50,"tags":["a","b"]}`)
	var s Scanner
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.Reset(text)
		if _, end := s.Object(0, 63, "id"); end < 0 {
			b.Fatal("not taken")
		}
	}
}

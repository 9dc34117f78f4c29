package jsonvalue_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/jsonvalue"
)

const maxDepth = 64

func TestParseObject(t *testing.T) {
	t.Parallel()
	f := func(body string, want error) {
		t.Helper()
		if _, err := jsonvalue.ParseObject([]byte(body), maxDepth); !errors.Is(err, want) {
			t.Errorf("%.80s: got %v, want %v", body, err, want)
		}
	}
	nest := func(levels int) string {
		return `{"x":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`
	}
	f(`{}`, nil)
	f(nest(63), nil)
	f(nest(64), jsonvalue.ErrTooDeep)
	f(`[]`, jsonvalue.ErrNotObject)
	f(`"name"`, jsonvalue.ErrNotObject)
	f(`null`, jsonvalue.ErrNotObject)
	f(`{"name":"a"} {}`, jsonvalue.ErrTrailing)
	f(`{"name":"a"}x`, jsonvalue.ErrTrailing)
	f(`[]x`, jsonvalue.ErrTrailing)
	f(`{"name":"a","name":"b"}`, jsontext.ErrDuplicateName)
	f(`{"name":"a","x":{"y":1,"\u0079":2}}`, jsontext.ErrDuplicateName)
	for _, body := range []string{``, ` `, `{`, `{"name":"a"`, `{"name":01}`, `{'name':1}`, "{\"name\":\"\xff\"}", `{"name":"\ud800"}`, "{\"name\":\"a\x00\"}", `{"a":"\u0000"`} {
		var nul *jsonvalue.NULError
		if _, err := jsonvalue.ParseObject([]byte(body), maxDepth); err == nil || errors.As(err, &nul) {
			t.Errorf("%q: got %v, want that it is no JSON", body, err)
		}
	}
	for body, member := range map[string]string{`{"name":"a\u0000"}`: "name", `{"name":"a","x":{"y":["\u0000"]}}`: "x.y.0", `{"a\u0000b":1}`: "a\x00b"} {
		var nul *jsonvalue.NULError
		if _, err := jsonvalue.ParseObject([]byte(body), maxDepth); !errors.As(err, &nul) || nul.Member != member {
			t.Errorf("%s: got %v, want a NUL in %q", body, err, member)
		}
	}
}

func TestObjectsAreSlicesOfTheBody(t *testing.T) {
	t.Parallel()
	body := []byte(` {"a" : {"b" : [1, "x"]} , "\u0063":null}`)
	root, err := jsonvalue.ParseObject(body, maxDepth)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(root.Members[0].Members[0].Value); got != `[1, "x"]` {
		t.Errorf("a.b is %s", got)
	}
	if root.Members[1].Name != "c" || string(root.Members[1].Value) != "null" {
		t.Errorf("the second member is %q: %s", root.Members[1].Name, root.Members[1].Value)
	}
	if &root.Value[0] != &body[1] || cap(root.Value) != len(root.Value) {
		t.Error("the object is a copy, or can be appended to")
	}
}

// FuzzObject holds ParseObject against encoding/json, which is more lenient.
func FuzzObject(f *testing.F) {
	for _, body := range []string{`{}`, `{"a":{"b":1},"n":5}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `[1]`, `{"a":` + strings.Repeat("[", 70), `{"a":{"b":"\ud800"}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := jsonvalue.ParseObject(body, maxDepth)
		if err == nil && (!json.Valid(body) || !jsonvalue.Valid(root.Value)) {
			t.Errorf("%q is taken for JSON", body)
		}
		var nul *jsonvalue.NULError
		known := errors.As(err, &nul) || errors.Is(err, jsonvalue.ErrTooDeep) || errors.Is(err, jsonvalue.ErrNotObject) || errors.Is(err, jsontext.ErrDuplicateName)
		if err != nil && !known && json.Valid(body) && !strings.ContainsAny(string(body), "\\") && utf8.Valid(body) {
			t.Errorf("%q is not taken for JSON: %v", body, err)
		}
	})
}

package database

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

func TestBodyValues(t *testing.T) {
	f := func(member string, want any) {
		t.Helper()
		fields := []sqltext.Field{{Path: []string{"a", "b"}}}
		r := bodyReader{fields: fields, known: newKnownMember(fields)}
		m, err := r.read(objectOf(t, `{"x":[{}], "a" : {"c":{"b":0}, "b" : `+member+` } }`), nil)
		if err != nil {
			t.Errorf("%s: %v", member, err)
			return
		}
		got, err := engine.BindAny(m.values[0])
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", member, err, diff)
		}
		if diff := cmp.Diff([][]string{{"x"}, {"a", "c"}}, m.unknown); diff != "" {
			t.Errorf("unknown members, -want +got:\n%s", diff)
		}
	}
	f(`null`, nil)
	f(`"a\"é\u00e9\n"`, "a\"éé\n")
	f(`[1, {"c": 1.0}]`, `[1, {"c": 1.0}]`)
	f(`{ }`, `{ }`)
	f(`-9223372036854775808`, int64(-9223372036854775808))
	f(`9223372036854775808`, `9223372036854775808`)
	f(`0.1234567890123456789`, `0.1234567890123456789`)
	f(`1e2`, `1e2`)
	f(`false`, false)
}

func TestBodyAgreement(t *testing.T) {
	r := bodyReader{params: []param.Param{{Name: "n", Type: "int"}, {Name: "s", Type: "string"}, {Name: "u", Type: "uuid"}}, columns: map[string]int{"Number": 0}, known: newKnownMember(nil)}
	args := source.Args{int64(5), "x", "ab"}
	f := func(body, member string) {
		t.Helper()
		_, err := r.read(objectOf(t, body), args)
		var fault *source.BodyError
		if errors.As(err, &fault); err == nil != (member == "") || err != nil && fault.Member != member {
			t.Errorf("%s: got %v, want a fault of %q", body, err, member)
		}
	}
	f(`{}`, "")
	f(`{"n":5,"number":5,"s":"x","u":"AB"}`, "")
	f(`{"x":{"n":6}}`, "")
	f(`{"n":6}`, "n")
	f(`{"NUMBER":6}`, "NUMBER")
	f(`{"s":"X"}`, "s")
	f(`{"s":5}`, "s")
	f(`{"u":"ac"}`, "u")

	f(`{"n":5.0}`, "") // integers are numbers
	f(`{"n":"5"}`, "")
	f(`{"n":5.5}`, "n")
	args[1] = "17" // what is shown of a string parameter's column: a number, bytes, char(4)
	f(`{"s":17}`, "")
	f(`{"s":"MTc="}`, "")
	f(`{"s":"17  "}`, "")
	f(`{"s":18}`, "s")
	f(`{"s":"  17"}`, "s")
}

func TestBodyThatIsAnAnswer(t *testing.T) {
	f := func(body, want string, fields ...sqltext.Field) {
		t.Helper()
		r := bodyReader{
			params: []param.Param{{Name: "n", Type: "int"}}, envelope: "e",
			fields: fields, known: newKnownMember(fields),
		}
		got := ""
		if record := r.unwrap(objectOf(t, body)); record != nil {
			got = string(record.Value)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
	a := sqltext.Field{Path: []string{"a"}}
	f(`{"e":{"a":1},"source":"db"}`, `{"a":1}`, a)
	f(` { "source" : "cache", "e" : {"a":1} } `, `{"a":1}`, a)
	f(`{"e":{"a":1},"source":"cache"}`, `{"a":1}`, sqltext.Field{}) // the whole body
	f(`{"e":{"a":1}}`, ``, a)
	f(`{"e":{"a":1},"source":"x"}`, ``, a)
	f(`{"e":{"a":1},"source":"db","a":1}`, ``, a)
	f(`{"e":null,"source":"db"}`, ``, a)
	f(`{"f":{"a":1},"source":"db"}`, ``, a)
	f(`{"e":{"a":1},"source":"db"}`, ``, sqltext.Field{Path: []string{"e", "a"}})
	f(`{"e":{"a":1},"source":"db"}`, ``, a, sqltext.Field{Path: []string{"source"}})
	f(`{"source":"db"}`, ``, a)
}

func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, `{"a":{"b":1},"n":5}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `[1]`, `{"a":` + strings.Repeat("[", 70), `{"a":{"b":"\ud800"}}`} {
		f.Add([]byte(body))
	}
	fields := []sqltext.Field{{Path: []string{"a"}, Optional: true}, {Path: []string{"a", "b"}, Optional: true}, {Path: []string{"c", "d"}, Optional: true}}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := jsonvalue.ParseObject(body, 64)
		if err != nil {
			return // FuzzObject's matter
		}
		r := bodyReader{params: []param.Param{{Name: "n", Type: "int"}}, fields: fields, known: newKnownMember(fields)}
		_, err = r.read(root, source.Args{int64(5)})
		var fault *source.BodyError
		if err != nil && !errors.As(err, &fault) {
			t.Errorf("%q: got %v, want a BodyError", body, err)
		}
	})
}

// objectOf parses a body.
func objectOf(t *testing.T, body string) jsonvalue.Node {
	t.Helper()
	root, err := jsonvalue.ParseObject([]byte(body), 64)
	if err != nil {
		t.Fatalf("parsing %s: %v", body, err)
	}
	return root
}

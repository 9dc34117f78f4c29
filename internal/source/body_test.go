package source

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBodyValues(t *testing.T) {
	f := func(d dialect, member string, want any) {
		t.Helper()
		r := bodyReader{dialect: d, fields: []field{{path: []string{"a", "b"}}}}
		got, err := r.read([]byte(`{"x":[{}], "a" : {"c":{"b":0}, "b" : `+member+` } }`), nil)
		if err != nil {
			t.Errorf("%v: %s: %v", d, member, err)
			return
		}
		if diff := cmp.Diff([]any{want}, got); diff != "" {
			t.Errorf("%v: %s, -want +got:\n%s", d, member, diff)
		}
	}
	for _, d := range []dialect{sqliteDialect, postgresDialect, mysqlDialect} {
		f(d, `null`, nil)
		f(d, `"a\"é\u00e9\n"`, "a\"éé\n")
		f(d, `[1, {"c": 1.0}]`, `[1, {"c": 1.0}]`)
		f(d, `{ }`, `{ }`)
		f(d, `9223372036854775808`, `9223372036854775808`)
		f(d, `0.1234567890123456789`, `0.1234567890123456789`)
		f(d, `1e2`, `1e2`)
	}
	f(postgresDialect, `5`, `5`)
	f(postgresDialect, `true`, `true`)
	f(postgresDialect, `1e999`, `1e999`)
	f(sqliteDialect, `-9223372036854775808`, int64(-9223372036854775808))
	f(mysqlDialect, `-5`, int64(-5))
	f(sqliteDialect, `1.5`, 1.5)
	f(mysqlDialect, `1.5`, `1.5`)
	f(sqliteDialect, `false`, false)
}

func TestBodyAgreement(t *testing.T) {
	r := bodyReader{params: []Param{{Name: "n", Type: "int"}, {Name: "s", Type: "string"}, {Name: "u", Type: "uuid"}}, columns: map[string]int{"Number": 0}}
	args := Args{int64(5), "x", "ab"}
	f := func(body, member string) {
		t.Helper()
		_, err := r.read([]byte(body), args)
		var fault *BodyError
		if errors.As(err, &fault); err == nil != (member == "") || err != nil && fault.Member != member {
			t.Errorf("%s: got %v, want a fault of %q", body, err, member)
		}
	}
	f(`{}`, "")
	f(`{"n":5,"number":5,"s":"x","u":"AB"}`, "")
	f(`{"x":{"n":6}}`, "")
	f(`{"n":6}`, "n")
	f(`{"n":5.0}`, "n")
	f(`{"NUMBER":6}`, "NUMBER")
	f(`{"s":"X"}`, "s")
	f(`{"s":5}`, "s")
	f(`{"u":"ac"}`, "u")
}

func FuzzBody(f *testing.F) {
	for _, body := range []string{`{}`, `{"a":{"b":1},"n":5}`, `{"a":1,"a":2}`, `{"a":"\u0000"}`, `[1]`, `{"a":` + strings.Repeat("[", 70), `{"a":{"b":"\ud800"}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, d := range []dialect{sqliteDialect, postgresDialect, mysqlDialect} {
			r := bodyReader{
				dialect: d, params: []Param{{Name: "n", Type: "int"}},
				fields: []field{{}, {path: []string{"a"}, optional: true}, {path: []string{"a", "b"}, optional: true}},
			}
			_, err := r.read(body, Args{int64(5)})
			var fault *BodyError
			if err != nil && !errors.As(err, &fault) {
				t.Errorf("%q: got %v, want a BodyError", body, err)
			}
			if err == nil && !json.Valid(body) {
				t.Errorf("%q is taken for JSON", body)
			}
			if errors.Is(err, ErrMalformed) && json.Valid(body) && !strings.ContainsAny(string(body), "\\") && isUTF8(body) {
				t.Errorf("%q is not taken for JSON: %v", body, err)
			}
		}
	})
}

func isUTF8(b []byte) bool { return string([]rune(string(b))) == string(b) }

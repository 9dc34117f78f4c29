package sqlite

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/engine"
)

// FuzzSQLiteBind binds a member to a column of each type. It is either taken or refused
// with a reason for the client.
func FuzzSQLiteBind(f *testing.F) {
	for _, seed := range []string{`1`, `-1.5e3`, `"a"`, `"2024-02-29"`, `"01:02:03+00"`, `"AQ=="`, `true`, `[1,[null,"x"]]`, `{"a":[]}`, `1e999999`, `"\\ud800"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := jsontext.Value(text)
		if !v.IsValid() || v.Kind() == jsontext.KindNull {
			return
		}
		v = jsontext.Value(strings.TrimSpace(text))
		check := func(declared any, err error) {
			var reason engine.Misfit
			if err != nil && !errors.As(err, &reason) {
				t.Errorf("%v takes %s with %v, want a reason for the client", declared, v, err)
			}
		}
		for _, declared := range []string{"int", "tinyint(1)", "decimal(9,2)", "double", "year", "bit(9)", "blob", "text", "json", "date", "datetime", "time", "enum('a','1')", "uuid"} {
			_, err := bindColumn(engine.DeclaredColumn("c", declared), v)
			check(declared, err)
		}
	})
}

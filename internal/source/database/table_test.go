package database

import (
	"strings"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source/engine"
)

func TestRecordsFaults(t *testing.T) {
	f := func(url string, spec Spec, want ...string) {
		t.Helper()
		db, err := New(engine.Config{URL: url, MaxConns: 1, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		spec.Name = "user"
		if spec.Params == nil {
			spec.Params = []param.Param{{Name: "id", Type: "int"}}
		}
		if spec.Select == "" {
			spec.Select = "SELECT 1 WHERE 1 = {id}"
		}
		_, err = db.Records(spec)
		if err == nil {
			t.Errorf("Records(%+v): got no error", spec)
			return
		}
		var lines []string
		for _, w := range want {
			lines = append(lines, `resource "user": `+w)
		}
		if got, want := err.Error(), strings.Join(lines, "\n"); got != want {
			t.Errorf("Records(%+v):\ngot  %s\nwant %s", spec, got, want)
		}
	}
	const lite, pg = "sqlite::memory:", "postgres://localhost/x"
	f(lite, Spec{Select: "SELECT {other}, {body.a}, {id.a}, {id?}"},
		`select: unknown placeholder {other}; the path has {id}`,
		`select: unknown placeholder {body.a}: only upsert has a body`,
		`select: unknown placeholder {id.a}: a path parameter is written {id}`,
		`select: unknown placeholder {id?}: a path parameter is written {id}`)
	f(lite, Spec{Select: "SELECT '{id}', '{body}', '{other}'"},
		`select: placeholder {id} stands inside quotes, where it is text; take the quotes away`)
	f(lite, Spec{Upsert: `INSERT "{body.a}" VALUES ({id}, {body?})`},
		`upsert: placeholder {body.a} stands inside quotes, where it is text; take the quotes away`,
		`upsert: placeholder {body?}: the body is never missing; write {body}`)
	f(lite, Spec{Select: " \n"}, `select: the statement is empty`)
	f(lite, Spec{Select: "SELECT 'a"}, `select: the quote "'" at byte 7 does not end`)
	f(lite, Spec{Upsert: "INSERT 1", Delete: "DELETE -- {id}"},
		`upsert: the path parameter {id} is not bound`, `delete: the path parameter {id} is not bound`)
	f(lite, Spec{Delete: "DELETE {id} = ? OR :a OR @b OR $c OR a$c OR a::b"},
		`delete: "?" is a bind parameter of SQLite; write a placeholder such as {name}`,
		`delete: ":" is a bind parameter of SQLite; write a placeholder such as {name}`,
		`delete: "@" is a bind parameter of SQLite; write a placeholder such as {name}`,
		`delete: "$" is a bind parameter of SQLite; write a placeholder such as {name}`)
	f(pg, Spec{Delete: "DELETE {id} ? a @> b :c $1"},
		`delete: "$" is a bind parameter of PostgreSQL; write a placeholder such as {name}`)
	f(lite, Spec{Params: []param.Param{{Name: "body", Type: "int"}, {Name: "x", Type: "float"}}, Select: "SELECT {x}"},
		`path: the parameter {body} has the name of the request's body; rename it`,
		`path: the parameter {x} has the unknown type "float"; write int, string or uuid`)
	f(lite, Spec{Params: []param.Param{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}}, Select: "SELECT {a} + {b}", SelectMany: "SELECT 1 WHERE a IN ({a})"},
		`select_many: the path has 2 parameters, and a many-read needs exactly one`)
	const shape = `select_many: the parameter has to stand as IN ({name}), or in PostgreSQL as = ANY({name})`
	f(lite, Spec{SelectMany: "SELECT 1 WHERE id = {id}"}, shape)
	f(lite, Spec{SelectMany: "SELECT 1 WHERE id = ANY({id})"}, shape)
	f(pg, Spec{SelectMany: "SELECT 1 WHERE id = ANY({id}) OR id IN ({id})"}, shape)
	f(pg, Spec{SelectMany: "SELECT 1"}, `select_many: the parameter is not bound; write IN ({name})`)
}

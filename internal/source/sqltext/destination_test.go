package sqltext

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/param"
)

func TestComparedColumns(t *testing.T) {
	f := func(d Dialect, text, want string) {
		t.Helper()
		s, err := Parse(d, text, []param.Param{{Name: "p", Type: param.Int}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.Compared()); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	f(SQLite, "id = {p}", "map[id:0]")
	f(SQLite, "u.id={p} /* x */", "map[id:0]")
	f(SQLite, `u."a b" /* = */ = /* x */ {p}`, "map[a b:0]")
	f(SQLite, "u.[a b]={p}", "map[a b:0]")
	f(MySQL, "`a`={p}", "map[a:0]")
	f(MySQL, `"a"={p}`, "map[]")
	f(PostgreSQL, "lower(id) = {p} OR id >= {p} OR id <> {p} OR {p} = id OR 5 = {p}", "map[]")
	f(PostgreSQL, "={p}", "map[]")
}

// TestDestinations says where the values of a statement's slots go: table.column
// or table#place, a type in brackets, and a question mark for an expression.
func TestDestinations(t *testing.T) {
	t.Parallel()
	f := func(sql string, want ...string) {
		t.Helper()
		for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
			s, err := Parse(d, sql, []param.Param{{Name: "id", Type: param.Int}}, true)
			if err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
			var got []string
			for _, at := range s.Destinations {
				text := at.Table.Name + "." + at.Column
				if at.Column == "" {
					text = fmt.Sprintf("%s#%d", at.Table.Name, at.Ordinal)
				}
				switch at.Form {
				case Unknown:
					text = "-"
				case Expression:
					text += "?"
				case Cast:
					text += "(" + at.Cast + ")"
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v: %s (-want +got):\n%s", d, sql, diff)
			}
		}
	}
	f("INSERT INTO t (id, a, b) VALUES ({id}, {body.a}, {body.b} + 1)", "t.id", "t.a", "t.b?")
	f("insert or replace into main.t values ({id}, 1, {body.a}), ({id}, 2, {body.b})", "t#0", "t#2", "t#0", "t#2")
	f("INSERT INTO t AS x (a) VALUES ROW({body.a}), ROW({body.b})", "t.a", "t.a")
	f("INSERT IGNORE INTO t SET a = {body.a}, b = 1, c = {body.c}", "t.a", "t.c")
	f("INSERT INTO t (a, b) SELECT {body.a}, u.b FROM u WHERE u.id = {id}", "t.a", ".id")
	f("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = {body.b} WHERE t.c < {body.c}", "t.b", ".c")
	f("INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE b = {body.b}", "t.b")
	f("REPLACE INTO t (a) VALUES ({body.a})", "t.a")
	f("SELECT REPLACE({body.a}, 'x', 'y')", "-")
	f("UPDATE t SET a = {body.a}, t.b = 2 WHERE id = {id} AND version <> {body.v}", "t.a", ".id", ".version")
	f("UPDATE ONLY t AS x SET (a, b) = ROW({body.a}, {body.b})", "t.a", "t.b")
	f("UPDATE t SET value = {body.a} WHERE value = {body.b}", "t.value", ".value")
	f("WITH x AS (SELECT {body.q}) UPDATE t SET a = {body.a}", "-", "t.a")
	f("WITH x AS (INSERT INTO t (a) VALUES ({body.a}) RETURNING a) INSERT INTO u (b) SELECT a, {body.b} FROM x", "t.a", "-")
	f("UPDATE t SET a = {body.a}; UPDATE u SET b = {body.b}", "t.a", "u.b")
	f("UPDATE t SET a = COALESCE({body.a?}, a), b = IF(1, {body.b}, b), c = NULLIF(({body.c}), '')", "t.a", "t.b", "t.c")
	f("UPDATE t SET a = CASE WHEN b = {body.b} THEN {body.a} ELSE (CASE WHEN c THEN {body.c} ELSE 1 END) END", "t.a?", "t.a", "t.a")
	f("UPDATE t SET a = CAST({body.a} AS date), b = CONVERT({body.b}, JSON), c = json({body.c}), d = upper({body.d})",
		"t.a(DATE)", "t.b(JSON)", "t.c(JSON)", "t.d?")
	f("CALL p({id}, {body})", "-", "-")
	f("INSERT INTO t (a) VALUES (((", []string(nil)...)
	f("UPDATE", []string(nil)...)
}

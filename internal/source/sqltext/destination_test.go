package sqltext

import (
	"fmt"
	"testing"

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

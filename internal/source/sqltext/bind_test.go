package sqltext

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/param"
)

func TestBind(t *testing.T) {
	params := []param.Param{{Name: "id", Type: param.Int}, {Name: "slug", Type: param.String}}
	f := func(d Dialect, text, sql string, args ...any) {
		t.Helper()
		s, err := Parse(d, text, params, true)
		if err != nil {
			t.Fatalf("Parse(%q): %v", text, err)
		}
		fields := make([]any, len(s.Fields))
		for i, field := range s.Fields {
			fields[i] = "body." + field.String()
		}
		q := s.Bind([]any{int64(7), "x"}, fields)
		if q.SQL != sql {
			t.Errorf("%v: %q: got %q, want %q", d, text, q.SQL, sql)
		}
		if diff := cmp.Diff(args, q.Args); diff != "" {
			t.Errorf("%v: %q: arguments, -want +got:\n%s", d, text, diff)
		}
	}
	const text = `a={id},b={slug},c={id},d={body.a},e={body.a},f={body}`
	f(SQLite, text, `a=?,b=?,c=?,d=?,e=?,f=?`, int64(7), "x", int64(7), "body.a", "body.a", "body.")
	f(MySQL, text, `a=?,b=?,c=?,d=?,e=?,f=?`, int64(7), "x", int64(7), "body.a", "body.a", "body.")
	f(PostgreSQL, text, `a=$1 ,b=$2 ,c=$1 ,d=$3 ,e=$3 ,f=$4 `, "7", "x", "body.a", "body.")
	f(PostgreSQL, `LIMIT{id}0`, `LIMIT $1  0`, "7")
	f(SQLite, `LIMIT{id}OFFSET`, `LIMIT ? OFFSET`, int64(7))
	f(SQLite, `1`, `1`)
}

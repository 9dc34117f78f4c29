package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// show writes pieces as text, each but plain ones in brackets of its kind.
func show(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		switch p.kind {
		case quotedPiece:
			b.WriteString("«" + p.text + "»")
		case commentPiece:
			b.WriteString("⟨" + p.text + "⟩")
		case holePiece:
			b.WriteString("⟦" + p.text + "⟧")
		default:
			b.WriteString(p.text)
		}
	}
	return b.String()
}

func TestSplit(t *testing.T) {
	const S, P, M = sqliteDialect, postgresDialect, mysqlDialect
	f := func(d dialect, text, want string) {
		t.Helper()
		pieces, err := split(d, text)
		if err != nil {
			t.Errorf("%v: split(%q): %v", d, text, err)
		}
		if got := show(pieces); got != want {
			t.Errorf("%v: split(%q):\ngot  %s\nwant %s", d, text, got, want)
		}
	}
	for _, d := range []dialect{S, P, M} {
		f(d, "", "")
		f(d, "a = {a} AND b={b.c.d-1}{e?}", "a = ⟦{a}⟧ AND b=⟦{b.c.d-1}⟧⟦{e?}⟧")
		f(d, "{ a} {1a} {a..b} {a.} {.a} {} {a b} {a?b} {a", "{ a} {1a} {a..b} {a.} {.a} {} {a b} {a?b} {a")
		f(d, "{{a}}", "{⟦{a}⟧}")
		f(d, "'{a}' 'it''s {a}' {a}", "«'{a}'» «'it''s {a}'» ⟦{a}⟧")
		f(d, `"{a}""{a}" {a}`, `«"{a}""{a}"» ⟦{a}⟧`)
		f(d, "a -- {a}\n{a} -- {a}", "a ⟨-- {a}\n⟩⟦{a}⟧ ⟨-- {a}⟩")
		f(d, "/* '{a} */ {a} /**/ a*/ 3 / 4", "⟨/* '{a} */⟩ ⟦{a}⟧ ⟨/**/⟩ a*/ 3 / 4")
		f(d, "a::text ?| b", "a::text ?| b")
	}
	f(S, `'a\' {a}`, `«'a\'» ⟦{a}⟧`)
	f(P, `'a\' {a}`, `«'a\'» ⟦{a}⟧`)
	f(M, `'a\' {a}' "\"{a}" {a}`, `«'a\' {a}'» «"\"{a}"» ⟦{a}⟧`)
	f(P, `E'a\' {a}' e'\\' {a}`, `E«'a\' {a}'» e«'\\'» ⟦{a}⟧`)
	f(P, `nameE'a\' {a}`, `nameE«'a\'» ⟦{a}⟧`)
	f(P, "E'a' \n 'b\\'{a}' {a}", "E«'a' \n 'b\\'{a}'» ⟦{a}⟧")
	f(P, "E'a' 'b\\'{a}", "E«'a'» «'b\\'»⟦{a}⟧")
	f(P, `$$ {a} ' $$ {a} $x$ $$ {a} $y$ $x$ {a}`, `«$$ {a} ' $$» ⟦{a}⟧ «$x$ $$ {a} $y$ $x$» ⟦{a}⟧`)
	f(P, `a$b$ {a} c$b$`, `a$b$ ⟦{a}⟧ c$b$`)
	f(P, `$1 $ {a} $é$'$é$`, `$1 $ ⟦{a}⟧ «$é$'$é$»`)
	f(S, `$$ {a}`, `$$ ⟦{a}⟧`)
	f(P, "a[{a}] `{a}", "a[⟦{a}⟧] `⟦{a}⟧")
	f(S, "[{a}] [a'b] `{a}``` {a}", "«[{a}]» «[a'b]» «`{a}```» ⟦{a}⟧")
	f(M, "`{a}` a[{a}]", "«`{a}`» a[⟦{a}⟧]")
	f(P, "/* /* {a} */ {a} */ {a}", "⟨/* /* {a} */ {a} */⟩ ⟦{a}⟧")
	f(S, "/* /* {a} */ {a}", "⟨/* /* {a} */⟩ ⟦{a}⟧")
	f(M, "a # {a}\n{a} 5--{a} --\t{a}\n --", "a ⟨# {a}\n⟩⟦{a}⟧ 5--⟦{a}⟧ ⟨--\t{a}\n⟩ ⟨--⟩")
	f(S, "a # {a}", "a # ⟦{a}⟧")
	f(P, "a #> {a}", "a #> ⟦{a}⟧")
	for _, text := range []string{"'a", `"a`, "/* a", "$x$ a $X$", "[a", "`a", `E'a\'`, "/* /* */"} {
		if _, err := split(P, text); (err == nil) != (text == "[a" || text == "`a") {
			t.Errorf("split(%q): got %v", text, err)
		}
	}
}

func TestBind(t *testing.T) {
	params := []Param{{Name: "id", Type: "int"}, {Name: "slug", Type: "string"}}
	f := func(d dialect, text, sql string, args ...any) {
		t.Helper()
		s, err := parse(d, text, params, true)
		if err != nil {
			t.Fatalf("parse(%q): %v", text, err)
		}
		fields := make([]any, len(s.fields))
		for i, field := range s.fields {
			fields[i] = "body." + field.String()
		}
		q := s.bind(Args{int64(7), "x"}, fields)
		if q.sql != sql {
			t.Errorf("%v: %q: got %q, want %q", d, text, q.sql, sql)
		}
		if diff := cmp.Diff(args, q.args); diff != "" {
			t.Errorf("%v: %q: arguments, -want +got:\n%s", d, text, diff)
		}
	}
	const text = `a={id},b={slug},c={id},d={body.a},e={body.a},f={body}`
	f(sqliteDialect, text, `a=?,b=?,c=?,d=?,e=?,f=?`, int64(7), "x", int64(7), "body.a", "body.a", "body.")
	f(mysqlDialect, text, `a=?,b=?,c=?,d=?,e=?,f=?`, int64(7), "x", int64(7), "body.a", "body.a", "body.")
	f(postgresDialect, text, `a=$1 ,b=$2 ,c=$1 ,d=$3 ,e=$3 ,f=$4 `, "7", "x", "body.a", "body.")
	f(postgresDialect, `LIMIT{id}0`, `LIMIT $1  0`, "7")
	f(sqliteDialect, `LIMIT{id}OFFSET`, `LIMIT ? OFFSET`, int64(7))
	f(sqliteDialect, `1`, `1`)
}

func TestRecordsFaults(t *testing.T) {
	f := func(url string, spec Spec, want ...string) {
		t.Helper()
		db, err := Open(Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		spec.Name = "user"
		if spec.Params == nil {
			spec.Params = []Param{{Name: "id", Type: "int"}}
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
	f(lite, Spec{Params: []Param{{Name: "body", Type: "int"}, {Name: "x", Type: "float"}}, Select: "SELECT {x}"},
		`path: the parameter {body} has the name of the request's body; rename it`,
		`path: the parameter {x} has the unknown type "float"; write int, string or uuid`)
	f(lite, Spec{Params: []Param{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}}, Select: "SELECT {a} + {b}", SelectMany: "SELECT 1 WHERE a IN ({a})"},
		`select_many: the path has 2 parameters, and a many-read needs exactly one`)
	const shape = `select_many: the parameter has to stand as IN ({name}), or in PostgreSQL as = ANY({name})`
	f(lite, Spec{SelectMany: "SELECT 1 WHERE id = {id}"}, shape)
	f(lite, Spec{SelectMany: "SELECT 1 WHERE id = ANY({id})"}, shape)
	f(pg, Spec{SelectMany: "SELECT 1 WHERE id = ANY({id}) OR id IN ({id})"}, shape)
	f(pg, Spec{SelectMany: "SELECT 1"}, `select_many: the parameter is not bound; write IN ({name})`)
}

func TestComparedColumns(t *testing.T) {
	f := func(d dialect, text, want string) {
		t.Helper()
		s, err := parse(d, text, []Param{{Name: "p", Type: "int"}}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.columns); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	f(sqliteDialect, "id = {p}", "map[id:0]")
	f(sqliteDialect, "u.id={p} /* x */", "map[id:0]")
	f(sqliteDialect, `u."a b" /* = */ = /* x */ {p}`, "map[a b:0]")
	f(sqliteDialect, "u.[a b]={p}", "map[a b:0]")
	f(mysqlDialect, "`a`={p}", "map[a:0]")
	f(mysqlDialect, `"a"={p}`, "map[]")
	f(postgresDialect, "lower(id) = {p} OR id >= {p} OR id <> {p} OR {p} = id OR 5 = {p}", "map[]")
	f(postgresDialect, "={p}", "map[]")
}

func FuzzSplit(f *testing.F) {
	for _, text := range []string{"a = {a}", "'a''b' \"c\"", `E'\'' $x$ {a} $x$`, "/* /* */ */ -- x\n#", "[a]]`b`", "{body.a.b?}"} {
		for d := range 3 {
			f.Add(d, text)
		}
	}
	params := []Param{{Name: "a", Type: "int"}}
	f.Fuzz(func(t *testing.T, d int, text string) {
		kind := dialect(uint(d) % 3)
		pieces, _ := split(kind, text)
		var b strings.Builder
		for _, p := range pieces {
			if p.text == "" {
				t.Errorf("%v: %q has an empty piece", kind, text)
			}
			b.WriteString(p.text)
		}
		if b.String() != text {
			t.Errorf("%v: the pieces of %q make up %q", kind, text, b.String())
		}
		s, err := parse(kind, text, params, true)
		if err != nil {
			return
		}
		if q := s.bind(Args{int64(1)}, make([]any, len(s.fields))); len(s.slots) == 0 && q.sql != text {
			t.Errorf("%v: %q without placeholders became %q", kind, text, q.sql)
		}
		if s.findMany() == nil {
			s.bindMany([]any{int64(1), `x"\`})
		}
	})
}

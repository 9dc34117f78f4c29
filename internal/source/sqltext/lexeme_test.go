package sqltext

import (
	"strings"
	"testing"

	"hearth/internal/param"
)

// show writes a text as its lexemes stand in it, those that are no plain SQL in
// brackets of their kind.
func show(text string, all phrase) string {
	var b strings.Builder
	at := 0
	for _, l := range all {
		b.WriteString(text[at:l.from])
		written := text[l.from:l.to]
		switch l.kind {
		case literal, quotedName, doubleQuoted:
			written = "«" + written + "»"
		case comment:
			written = "⟨" + written + "⟩"
		case placeholder:
			written = "⟦" + written + "⟧"
		}
		b.WriteString(written)
		at = l.to
	}
	return b.String() + text[at:]
}

func TestLex(t *testing.T) {
	const S, P, M = SQLite, PostgreSQL, MySQL
	f := func(d Dialect, text, want string) {
		t.Helper()
		all, err := lex(d, text)
		if err != nil {
			t.Errorf("%v: lex(%q): %v", d, text, err)
		}
		if got := show(text, all); got != want {
			t.Errorf("%v: lex(%q):\ngot  %s\nwant %s", d, text, got, want)
		}
	}
	for _, d := range []Dialect{S, P, M} {
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
		if _, err := lex(P, text); (err == nil) != (text == "[a" || text == "`a") {
			t.Errorf("lex(%q): got %v", text, err)
		}
	}
}

func FuzzLex(f *testing.F) {
	for _, text := range []string{
		"SELECT DISTINCT ON (a) t.a AS b, * FROM s.t AS u JOIN v WHERE lower(CAST(a AS text)) = (({a}::text COLLATE x.y)) OR BINARY a IS NOT DISTINCT FROM {a}",
		"INSERT INTO t AS x (a, b) VALUES ROW({a}, CASE WHEN a THEN {a} ELSE 1 END) ON CONFLICT (a) DO UPDATE SET (a, b) = ROW(COALESCE({a}), CAST({a} AS x));",
		"CONSTRAINT a CHECK (b) (SELECT {a} IN ({a})) COLLATE . :: = ) UPDATE t SET a = {a} KEY UPDATE",
		"WITH x (a) AS (SELECT b FROM (t JOIN u), LATERAL f(1)) SELECT {row.a} FROM ONLY x, (VALUES (1)) y WHERE (a = {a}) AND {a} = t.b GROUP BY c",
		"a = {a}", "'a''b' \"c\"", `E'\'' $x$ {a} $x$`, "/* /* */ */ -- x\n#", "[a]]`b`", "{body.a.b?}"} {
		for d := range 3 {
			f.Add(d, text)
		}
	}
	params := []param.Param{{Name: "a", Type: param.Int}}
	f.Fuzz(func(t *testing.T, d int, text string) {
		kind := Dialect(uint(d) % 3)
		all, _ := lex(kind, text)
		at := 0
		for _, l := range append(all, lexeme{from: len(text), to: len(text) + 1}) {
			if gap := text[at:l.from]; all != nil && strings.Trim(gap, " \t\n\v\f\r") != "" || l.to <= l.from {
				t.Errorf("%v: %q: %q stands before %+v", kind, text, gap, l)
			}
			at = min(l.to, len(text))
		}
		s, err := Parse(kind, text, params, true)
		if err != nil {
			return
		}
		if q := s.Bind([]any{int64(1)}, make([]any, len(s.Fields))); len(s.Slots) == 0 && q.SQL != text {
			t.Errorf("%v: %q without placeholders became %q", kind, text, q.SQL)
		}
		// Whatever the text is, nothing is read beyond its ends.
		s.KeyOutputs(len(params), true)
		s.Select().Names()
		s.Compared()
		MayEndTransaction(kind, text)
		Check(kind, text, "a")
		Names(kind, text)
		Calls(kind, text)
		Collation(text, "a")
		if _, err := Reads(kind, text); err != nil {
			t.Errorf("%v: %q has lexemes, and is not read: %v", kind, text, err)
		}
		if row, err := ParseRow(kind, text); err == nil {
			row.Bind(nil, make([]any, len(row.Fields)))
			row.Columns()
		}
		s.Watched(0)
		s.ReadsOnly("t")
		if s.FindMany() == nil {
			s.BindMany([]any{int64(1), `x"\`})
		}
	})
}

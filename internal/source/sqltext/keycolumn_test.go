package sqltext

import (
	"slices"
	"strings"
	"testing"

	"hearth/internal/param"
)

// TestKeyOutputs says which output of a select tells the name of its row.
func TestKeyOutputs(t *testing.T) {
	params := []param.Param{{Name: "p", Type: param.String}, {Name: "q", Type: param.Int}}
	f := func(sql, want string) {
		t.Helper()
		for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
			if strings.Contains(sql, "::") && d != PostgreSQL || strings.Contains(sql, "`") && d == PostgreSQL || strings.Contains(sql, `"`) && d == MySQL {
				continue
			}
			s, err := Parse(d, sql, params, false)
			if err != nil {
				t.Errorf("%s: %v", sql, err)
				continue
			}
			var got []string
			for i, outputs := range s.KeyOutputs(len(params), false) {
				if outputs = slices.Compact(outputs); len(outputs) > 0 {
					got = append(got, params[i].Name+"="+strings.Join(outputs, "|"))
				}
			}
			if text := strings.Join(got, " "); text != want {
				t.Errorf("%v: %s: got %q, want %q", d, sql, text, want)
			}
		}
	}
	f("SELECT email, name FROM u WHERE email = {p}", "p=email")
	f("select EMAIL, name from u where email={p}", "p=EMAIL")
	f("SELECT * FROM u WHERE email = {p}", "p=email")
	f("SELECT u.* FROM u JOIN o ON o.u = u.id WHERE u.email = {p}", "p=email")
	f("SELECT o.* FROM u JOIN o ON o.u = u.id WHERE u.email = {p}", "")
	f("SELECT o.id, o.total FROM o JOIN u ON o.u = u.id WHERE u.id = {q}", "")
	f("SELECT u.id, o.total FROM o JOIN u ON o.u = u.id WHERE u.id = {q}", "q=id")
	f("SELECT id, o.total FROM o JOIN u ON o.u = u.id WHERE u.id = {q}", "q=id")
	f("SELECT address AS email FROM u WHERE address = {p}", "p=email")
	f("SELECT address email FROM u WHERE {p} = address", "p=email")
	f("SELECT address FROM u x WHERE x.address = ({p}) AND x.n = {q}", "p=address")
	f("SELECT address, n FROM u x WHERE x.address = {p} AND x.n = {q}", "p=address q=n")
	f("SELECT DISTINCT a, b FROM u WHERE b IN ({p})", "p=b")
	f("SELECT email FROM u WHERE lower(email) = lower({p})", "p=email")
	f("SELECT lower(email) AS e FROM u WHERE lower(email) = lower({p})", "p=e")
	f("SELECT lower(email) AS email FROM u WHERE lower(email) = {p}", "p=email")
	f("SELECT email FROM u WHERE lower(email) = {p}", "")
	f("SELECT email FROM u WHERE email = lower({p})", "p=email")
	f("SELECT email FROM u WHERE email = concat({p}, 'x')", "")
	f("SELECT id FROM u WHERE id = unhex({p})", "")
	f("SELECT id FROM u WHERE hex(id) = hex({p})", "p=id")
	f("SELECT email FROM u WHERE email LIKE {p}", "p=email")
	f("SELECT email FROM u WHERE email NOT LIKE {p}", "")
	f("SELECT email FROM u WHERE email <> {p}", "")
	f("SELECT email FROM u WHERE email >= {p}", "")
	f("SELECT email FROM u WHERE email = {p} || 'x'", "")
	f("SELECT n FROM u WHERE 1 + n = {q}", "")
	f("SELECT n FROM u WHERE n = 1 + {q}", "")
	f("SELECT email FROM u WHERE email COLLATE nocase = {p}", "p=email")
	f("SELECT email FROM u WHERE email = {p} COLLATE nocase", "p=email")
	f("SELECT email FROM u WHERE email::text = {p}::text", "p=email")
	f("SELECT at FROM u WHERE at::date = {p}", "")
	f("SELECT day FROM u WHERE day = CAST({p} AS date)", "p=day")
	f("SELECT id FROM u WHERE CAST(id AS varchar(20)) = {p}", "p=id")
	f("SELECT a FROM u WHERE CAST(lower(a) AS text) = ((CAST(lower({p}) AS text)))", "p=a")
	f("SELECT a FROM u WHERE BINARY a = BINARY {p}", "p=a")
	f("SELECT a FROM u WHERE {p} = BINARY a", "p=a")
	f("SELECT binary FROM u WHERE binary IN ({p}) OR binary = {p}", "p=binary")
	f("SELECT a FROM u WHERE a = {p} + 1", "")
	f("SELECT a FROM u WHERE {p} = a + 1", "")
	f("SELECT a FROM u WHERE lower(a, b) = {p}", "")
	f("SELECT NOT FROM u WHERE a NOT IN ({p})", "")
	f("SELECT * FROM u WHERE a IS NOT {p} AND a IS NOT DISTINCT FROM b", "")
	f("SELECT a FROM u WHERE a IN ({p}, 'x')", "")
	f("SELECT a FROM u WHERE a COLLATE pg_catalog.x = {p}", "p=a")
	f("SELECT a FROM u WHERE a::varchar(20) = {p}::varchar(20) COLLATE x", "p=a")
	f("SELECT a FROM u WHERE a::date = {p}", "")
	f("SELECT email FROM u WHERE email IS NOT DISTINCT FROM {p}", "p=email")
	f(`SELECT "e mail" FROM u WHERE u."e mail" = {p}`, "p=e mail")
	f("SELECT `e` FROM u WHERE `u`.`e` = {p}", "p=e")
	f("SELECT {p} AS email, name FROM u WHERE email = {p}", "")
	f("SELECT name FROM u WHERE email = {p}", "")
	f("SELECT max(email) AS email FROM u WHERE email = {p}", "")
	f("SELECT id, title FROM posts WHERE author = (SELECT name FROM authors WHERE id = {q})", "")
	f("SELECT id, (SELECT count(*) FROM o WHERE o.u = {q}) AS n FROM u WHERE (id = {q})", "q=id")
	f("WITH x AS (SELECT * FROM u WHERE id = {q}) SELECT id FROM x", "")
	f("WITH x AS (SELECT 1) SELECT id FROM u WHERE id = {q}", "q=id")
	f("SELECT id FROM a WHERE id = {q} UNION ALL SELECT id FROM b WHERE id = {q}", "")
	f("SELECT id, slug FROM u WHERE id = {p} OR slug = {p}", "p=id")
	f("SELECT doc AS json FROM u WHERE slug = {p}", "")
	f("SELECT /* email, */ name -- FROM\n, email FROM u WHERE email = /* it */ {p}", "p=email")
	f("SELECT count(*) AS n, email FROM u WHERE email = {p} GROUP BY email LIMIT 1", "p=email")
	f("VALUES ({p})", "")
	f("SELECT", "")
	f("SELECT (((", "")
	f("SELECT a FROM u WHERE )) = {p}", "")
}

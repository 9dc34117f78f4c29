package sqltext

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"hearth/internal/param"
)

// watchedText is what a statement is said to read.
func watchedText(w Watched, why string) string {
	switch {
	case why != "":
		return "no: " + why
	case w.All:
		return w.Table + "(all)"
	}
	return w.Table + "(" + strings.Join(w.Columns, ",") + ")"
}

// TestWatched says of which selects the watch is derived. The parameters are p and q.
func TestWatched(t *testing.T) {
	t.Parallel()
	f := func(dialects, text string, params int, want string) {
		t.Helper()
		known := []param.Param{{Name: "p", Type: param.Int}, {Name: "q", Type: param.String}}[:params]
		for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
			if !strings.Contains(dialects, d.String()[:1]) {
				continue
			}
			s, err := Parse(d, text, known, false)
			if err != nil {
				t.Errorf("%v: %s: %v", d, text, err)
			} else if got := watchedText(s.Watched(params)); got != want && !(want == "no" && strings.HasPrefix(got, "no: ")) {
				t.Errorf("%v: %s: got %q, want %q", d, text, got, want)
			}
		}
	}
	const all = "SPM" // SQLite, PostgreSQL, MySQL
	one := func(text, want string) { t.Helper(); f(all, text, 1, want) }
	one("SELECT id, name FROM users WHERE id = {p}", "users(id)")
	one("select * from users where id={p};", "users(id)")
	one("SELECT u.* FROM users AS u WHERE u.id = {p}", "users(id)")
	one("SELECT u.* FROM users u WHERE {p} = u.id LIMIT 1", "users(id)")
	one("SELECT * FROM shop.users WHERE shop.users.id = {p}", "shop.users(id)")
	one("SELECT DISTINCT city FROM users WHERE id = {p} ORDER BY CASE WHEN city = 'x' THEN 0 ELSE 1 END, id DESC LIMIT 10 OFFSET 5", "users(id)")
	one("SELECT count(*) AS n, sum(total) FROM orders WHERE user_id = {p}", "orders(user_id)")
	one("SELECT day, count(*) FROM orders WHERE user_id = {p} GROUP BY day HAVING count(*) > 1", "orders(user_id)")
	one("SELECT * FROM t WHERE a = {p} AND b = 1 AND (c = 2 OR d = 3) AND NOT e", "t(a)")
	one("SELECT * FROM t WHERE b BETWEEN 1 AND 2 AND a = {p}", "t(a)")
	one("SELECT * FROM t WHERE ((a = {p}) AND b)", "t(a)")
	one("SELECT * FROM t WHERE a = {p} AND b = {p}", "t(a)")
	one("SELECT * FROM t WHERE a > {p} AND b = {p}", "t(b)")
	one("SELECT x IS NOT DISTINCT FROM y AS same FROM t WHERE a = {p}", "t(a)")
	one("SELECT /* FROM u */ a -- FROM v\nFROM t WHERE a = {p}", "t(a)")
	one("SELECT 'FROM u', extract(year FROM at) FROM t WHERE a = {p}", "t(a)")
	f(all, "SELECT * FROM t WHERE a = {p} AND b = {q}", 2, "t(a,b)")
	f(all, "SELECT * FROM t WHERE (b = {q} AND a = {p})", 2, "t(a,b)")
	f(all, "SELECT * FROM t WHERE a = {p} LIMIT {q}", 2, "no")
	f(all, "SELECT * FROM t WHERE a = {p} AND (b = {q} OR c)", 2, "no")
	f(all, "SELECT * FROM settings", 0, "settings(all)")
	f(all, "SELECT max(v) FROM settings WHERE a OR b GROUP BY c", 0, "settings(all)")
	f(all, "SELECT * FROM a, b", 0, "no")

	// Names. Outside quotes PostgreSQL makes small letters of them.
	f("P", `SELECT * FROM Shop.Users u WHERE u.ID = {p}`, 1, "shop.users(id)")
	f("SM", `SELECT * FROM Shop.Users u WHERE u.ID = {p}`, 1, "Shop.Users(ID)")
	f("P", `SELECT * FROM "Shop"."My Users" "u" WHERE "u"."ID" = {p}`, 1, `"Shop"."My Users"(ID)`)
	f("S", `SELECT * FROM "My Users" WHERE [user id] = {p}`, 1, "My Users(user id)")
	f("M", "SELECT * FROM `my users` AS \"x\" WHERE `Id` = {p}", 1, "my users(Id)")
	f("P", `SELECT * FROM "a""b" WHERE c = {p}`, 1, `"a""b"(c)`)
	f("S", `SELECT * FROM t WHERE a == {p}`, 1, "t(a)")
	f("S", `SELECT * FROM main.t WHERE a = {p}`, 1, "t(a)")
	f("P", "SELECT * FROM t WHERE a = {p} FOR SHARE", 1, "t(a)")
	f("M", "SELECT * FROM t WHERE a = {p} LOCK IN SHARE MODE", 1, "t(a)")
	f("P", "SELECT * FROM t WHERE a = {p} FETCH FIRST 1 ROW ONLY", 1, "t(a)")

	// Other rows may get in.
	one("SELECT * FROM t WHERE a = {p} OR b", "no: its condition has OR outside brackets")
	one("SELECT * FROM t WHERE (a = {p} OR b)", "no")
	one("SELECT * FROM t WHERE (a = {p} OR b) AND c", "no")
	one("SELECT * FROM t WHERE NOT a = {p}", "no")
	one("SELECT * FROM t WHERE NOT (a = {p})", "no")
	one("SELECT * FROM t WHERE (a = {p}) IS NOT TRUE", "no")
	one("SELECT * FROM t WHERE b BETWEEN 1 AND a = {p}", "no")
	one("SELECT * FROM t WHERE CASE WHEN b AND a = {p} AND c THEN 1 ELSE 2 END", "no")
	one("SELECT * FROM t WHERE a = {p} IS NULL", "no")
	one("SELECT * FROM t WHERE a <> {p}", "no")
	one("SELECT * FROM t WHERE a >= {p}", "no")
	one("SELECT * FROM t WHERE a LIKE {p}", "no")
	one("SELECT * FROM t WHERE a IN ({p})", "no")
	one("SELECT * FROM t WHERE a = {p} + 1", "no")
	one("SELECT * FROM t WHERE a + 1 = {p}", "no")
	one("SELECT * FROM t WHERE -a = {p}", "no")
	one("SELECT * FROM t WHERE lower(a) = {p}", "no")
	one("SELECT * FROM t WHERE a = lower({p})", "no")
	one("SELECT * FROM t WHERE a COLLATE x = {p}", "no")
	one("SELECT * FROM t WHERE a = {p} COLLATE x", "no")
	one("SELECT * FROM t WHERE 1 = {p}", "no")
	one("SELECT * FROM t WHERE 'a' = {p}", "no")
	one("SELECT * FROM t WHERE current_user = {p}", "no")
	one("SELECT * FROM t WHERE (a, b) = ({p}, 1)", "no")
	one("SELECT * FROM t WHERE a = b = {p}", "no")
	one("SELECT * FROM t WHERE {p} = {p}", "no")
	one("SELECT * FROM t HAVING a = {p}", "no")
	one("SELECT {p} FROM t", "no")
	one("SELECT * FROM t WHERE b AND offset = 1 OR a = {p}", "no")
	f("P", "SELECT * FROM t WHERE a::text = {p}", 1, "no")
	f("P", "SELECT * FROM t WHERE a = {p}::int", 1, "no")
	f("P", "SELECT * FROM t WHERE a->>'x' = {p}", 1, "no")
	f("P", "SELECT * FROM t WHERE a[1] = {p}", 1, "no")
	f("M", "SELECT * FROM t WHERE a = {p} || b", 1, "no")
	f("M", "SELECT * FROM t WHERE a = {p} AND b || c", 1, "no")
	f("M", "SELECT * FROM t WHERE b XOR a = {p}", 1, "no")
	f("M", "SELECT * FROM t WHERE \"a\" = {p}", 1, "no")
	f("M", "SELECT * FROM t WHERE a = {p} /*! OR 1 */", 1, "no")
	f("M", "SELECT * FROM t WHERE a = {p} /*M! OR 1 */", 1, "no")
	f("M", "SELECT * FROM t WHERE BINARY a = {p}", 1, "no")

	// Other tables.
	one("SELECT * FROM t, u WHERE t.a = {p}", "no")
	one("SELECT * FROM t JOIN u ON u.a = t.a WHERE t.a = {p}", "no: it has JOIN")
	one("SELECT * FROM t LEFT JOIN u USING (a) WHERE t.a = {p}", "no")
	one("SELECT *, (SELECT max(b) FROM u) FROM t WHERE a = {p}", "no: it has SELECT")
	one("SELECT * FROM t WHERE a = {p} AND b IN (SELECT b FROM u)", "no")
	one("SELECT * FROM t WHERE a = {p} AND b IN (TABLE u)", "no")
	one("SELECT * FROM t WHERE a = {p} UNION SELECT * FROM u", "no")
	one("WITH t AS (SELECT * FROM u) SELECT * FROM t WHERE a = {p}", "no")
	one("SELECT * FROM (SELECT * FROM u) t WHERE a = {p}", "no")
	one("SELECT * FROM f({p}) WHERE a = {p}", "no")
	one("SELECT * FROM t x y WHERE a = {p}", "no")
	one("SELECT * FROM a.b.t WHERE a = {p}", "no")
	one("SELECT 1 WHERE 1 = {p}", "no")
	one("VALUES ({p})", "no")
	one("SELECT * FROM t WHERE a = {p}; DELETE FROM t", "no")
	f("P", "SELECT * FROM ONLY t WHERE a = {p}", 1, "no")
	f("P", "SELECT * FROM t * WHERE a = {p}", 1, "no")
	f("P", "SELECT * FROM t TABLESAMPLE system (1) WHERE a = {p}", 1, "no")
	f("M", "SELECT * FROM t PARTITION (x) WHERE a = {p}", 1, "no")
	f("M", "SELECT * FROM t FORCE INDEX (x) WHERE a = {p}", 1, "no")
	f("S", "SELECT * FROM t NOT INDEXED WHERE a = {p}", 1, "no")
}

func TestReadsOnly(t *testing.T) {
	t.Parallel()
	f := func(text string, want bool) {
		t.Helper()
		s, err := Parse(PostgreSQL, text, []param.Param{{Name: "p", Type: param.Int}}, false)
		if err != nil || s.ReadsOnly("t") != want {
			t.Errorf("%s: got %v (%v), want %v", text, !want, err, want)
		}
	}
	f("SELECT * FROM T WHERE id = ANY({p})", true)
	f(`SELECT * FROM "T" WHERE id = ANY({p})`, false)
	f("SELECT * FROM t JOIN u ON true WHERE id IN ({p})", false)
}

// FuzzWatched asks SQLite whether what is derived is true: rows that have another value in
// the column make no difference.
func FuzzWatched(f *testing.F) {
	for _, seed := range []string{
		"SELECT * FROM t WHERE a = {p}", "SELECT count(*), max(b) FROM t WHERE {p} == a AND (b OR c) ORDER BY 1 LIMIT 2",
		"SELECT b FROM t x WHERE b BETWEEN 1 AND 2 AND (x.a = {p} AND c) GROUP BY b HAVING count(*)", "SELECT * FROM t WHERE a = {p} OR b",
		"SELECT rank() OVER (ORDER BY b) FROM t WHERE c AND a = {p}", "SELECT * FROM t WHERE b BETWEEN 1 AND a = {p}",
		"SELECT * FROM t WHERE CASE WHEN b THEN c AND a = {p} AND b END", "SELECT * FROM t WHERE b || a = {p}", "SELECT * FROM t WHERE offset OR a = {p}",
		"SELECT * FROM t WHERE NOT a = {p} AND c", "SELECT * FROM t WHERE (a = {p}) IN (0, 1)", "SELECT a IS DISTINCT FROM b FROM t WHERE 2 < 1 = (b = {p})",
		"SELECT [b] FROM \"t\" WHERE `a` = {p} -- OR\n AND c /* OR */", "SELECT * FROM t WHERE a = {p} AND c ISNULL OR b", "SELECT * FROM t WHERE a = {p} = b",
		"SELECT 0 FROM t WHERE 1\x00AND a = {p}",
	} {
		f.Add(seed)
	}
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE t (a INT, b INT, c INT, "offset" INT); INSERT INTO t VALUES
		(1,1,1,1), (1,2,0,0), (1,0,NULL,1), (2,1,1,1), (2,2,0,0), (0,1,2,1), (0,NULL,0,2), (NULL,1,1,1), (3,1,2,0)`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if lower := strings.ToLower(text); strings.Contains(lower, "random") || strings.Contains(lower, "changes") || len(text) > 300 {
			return // what is not the same twice tells nothing
		}
		s, err := Parse(SQLite, text, []param.Param{{Name: "p", Type: param.Int}}, false)
		if err != nil {
			return
		}
		w, why := s.Watched(1)
		if why != "" || !strings.EqualFold(w.Table, "t") {
			return
		}
		tx, err := db.BeginTx(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		b := s.Bind([]any{int64(1)}, nil)
		before, err := rowsOf(tx, b)
		if err != nil {
			return // no SQL
		}
		column := `"` + strings.ReplaceAll(w.Columns[0], `"`, `""`) + `"`
		if _, err := tx.Exec("DELETE FROM t WHERE t." + column + " IS NOT 1"); err != nil {
			return // SQLite takes a name of nothing for a text; whether the column is there is asked of the database
		}
		if after, err := rowsOf(tx, b); err != nil || after != before {
			t.Errorf("%q is read by its column %s, and rows with another value make a difference: %s and %s (%v)", text, column, before, after, err)
		}
	})
}

// rowsOf is what a query returns, as text.
func rowsOf(tx *sql.Tx, b Bound) (string, error) {
	rows, err := tx.Query(b.SQL, b.Args...)
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for rows.Next() {
		cells, to := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			to[i] = &cells[i]
		}
		if err := rows.Scan(to...); err != nil {
			return "", err
		}
		fmt.Fprintln(&all, cells...)
	}
	return all.String(), rows.Err()
}

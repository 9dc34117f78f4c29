package sqltext

import (
	"fmt"
	"strings"
	"testing"
)

// TestSelect says what a statement tells of its result: the items, each as
// table.column and its name, and the tables.
func TestSelect(t *testing.T) {
	t.Parallel()
	f := func(d Dialect, sql, items, from string) {
		t.Helper()
		s, err := Parse(d, sql, nil, false)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		list := s.Select()
		var gotItems, gotFrom []string
		for _, i := range list.Items {
			gotItems = append(gotItems, fmt.Sprintf("%s.%s=%s", i.Table, i.Column, i.Name))
		}
		for _, f := range list.From {
			gotFrom = append(gotFrom, fmt.Sprintf("%s.%s=%s", f.Table.Schema, f.Table.Name, f.Alias))
		}
		if got := strings.Join(gotItems, " "); got != items {
			t.Errorf("%v: %s: got the items %s, want %s", d, sql, got, items)
		}
		if got := strings.Join(gotFrom, " "); got != from {
			t.Errorf("%v: %s: got the tables %s, want %s", d, sql, got, from)
		}
	}
	for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
		f(d, "SELECT a, t.b, c AS d, e f FROM t", ".a=a t.b=b .c=d .e=f", ".t=t")
		f(d, "select distinct *, u.* from s.t x join u on x.a = u.a, (select 1) y left join w as z using (a) where b = 1", ".*=* u.*=*", "s.t=x .u=u .w=z")
		f(d, "SELECT count(*), max(a) AS m, CASE WHEN a THEN 1 END, (SELECT 1 FROM v) n, 1", ".= .=m .= .=n .=", "")
		f(d, "SELECT a COLLATE nocase, b FROM t ORDER BY a", ".= .b=b", ".t=t")
		f(d, "SELECT 1 AS a WHERE 1 = 1", ".=a", "")
		f(d, "SELECT a FROM t UNION SELECT b FROM u", ".a=a", ".t=t")
		f(d, "SELECT /* a, */ b -- c\n FROM t FOR UPDATE", ".b=b", ".t=t")
		f(d, "WITH x AS (SELECT 1) SELECT a FROM x", "", "")
		f(d, "SELECT", ".=", "")
	}
	f(PostgreSQL, "SELECT DISTINCT ON (a) a::text, b FROM t", ".= .b=b", ".t=t")
	f(MySQL, "SELECT SQL_NO_CACHE `a b` AS \"c\", \"d\", 'e' FROM t USE INDEX (i)", ".a b=c .= .=", ".t=t")
	f(SQLite, `SELECT "a b", [c] FROM [t u] "v"`, ".a b=a b .c=c", ".t u=v")
}

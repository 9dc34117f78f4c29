package sqltext

import (
	"strings"
	"testing"
)

// TestReads: the tables that a text names, as MariaDB and MySQL show it.
func TestReads(t *testing.T) {
	t.Parallel()
	f := func(text, want string) {
		t.Helper()
		tables, err := Reads(MySQL, text)
		var got []string
		for _, table := range tables {
			got = append(got, strings.TrimPrefix(table.Schema+"."+table.Name, "."))
		}
		if all := strings.Join(got, " "); err != nil || all != want {
			t.Errorf("%s: got %q (%v), want %q", text, all, err, want)
		}
	}
	f("select 0 AS `id`,NULL AS `name` from `d`.`users` where 0", "d.users")
	f("/* select#1 */ select `vc`.`uid` AS `uid` from `d`.`vc` where `vc`.`uid` = NULL", "d.vc")
	f("select `d`.`u`.`id` AS `id` from `d`.`u` semi join (`d`.`orders`) where `d`.`orders`.`pid` = NULL", "d.u d.orders")
	f("with c as (select `d`.`o`.`id` AS `id` from `d`.`o`)select `d`.`o`.`id` AS `id` from `d`.`o`", "d.o")
	f("select `x`.`a` AS `a`,`x`.`b` AS `b` from (/* select#2 */ select `d`.`o`.`a` AS `a`,count(0) AS `b` from `d`.`o` group by `d`.`o`.`a`) `x` where 1", "d.o")
	f("select `d`.`a`.`x` AS `x` from (`d`.`a` left join (`d`.`b` join `d`.`c`) on(`d`.`b`.`y` = `d`.`a`.`y` and exists(select 1 from `d`.`e` limit 1))) order by (select max(`d`.`g`.`z`) from `d`.`g`)", "d.a d.b d.c d.e d.g")
	f("select 1 union all select `d`.`b`.`x` from `d`.`b` union (select 2 from `e`.`c`)", "d.b e.c")
	f("select trim(both 'x' from `d`.`a`.`y`) AS `z`, extract(year from `d`.`a`.`at`) from `d`.`a`", "d.a")
	f("select `a`.`x` IS DISTINCT FROM `b` from t a", "t")
	f("select * from t, u x straight_join v using (a, b), json_table('[]', '$[*]' columns (a int path '$')) w", "t u v")
	f("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n), m AS (SELECT * FROM t) SELECT * FROM n JOIN m JOIN u", "t u")
	f("SELECT * FROM t FORCE INDEX (a, b) WHERE x IN (TABLE z)", "t")
	f("select 'from `a`.`b`' from `c`.`d` /* from e */ for update", "c.d")
	f("select fo(1)", "")
	f("", "")
	f(")) from ((", "")
}

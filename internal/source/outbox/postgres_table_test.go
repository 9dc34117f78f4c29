package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestPostgresFilter: an UPDATE counts if it changes what a resource reads, whatever the
// number of rows.
func TestPostgresFilter(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	for _, form := range []string{"statement", "row"} {
		partition := ""
		if form == "row" {
			partition = " PARTITION BY HASH (id); CREATE TABLE p0 PARTITION OF users FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
		}
		db.Exec(`CREATE TABLE users (id int PRIMARY KEY, "user" int, note json, n float8, seen timestamptz)` + partition)
		set := outbox.Set{Table: "users", Captured: []string{"user"}, Filter: []string{"note", "n"}}
		install(t, o, outbox.Options{FlushRows: 3}, set)
		for _, c := range []struct {
			sql  string
			want []string
		}{
			{`INSERT INTO users VALUES (1, 10, '{"a":1}', 0.1), (2, 10, NULL, 0.2)`, []string{`{"user":10}`}},
			{`UPDATE users SET seen = now() WHERE id = 1`, nil},
			{`UPDATE users SET seen = now()`, nil},
			{`UPDATE users SET seen = now(), note = '{"a": 1}' WHERE id = 1`, []string{`{"user":10}`}}, // as a client sees it, it has changed
			{`UPDATE users SET note = '{}' WHERE id = 2`, []string{`{"user":10}`}},
			{`UPDATE users SET note = NULL, seen = now()`, []string{`{"user":10}`}},
			{`UPDATE users SET "user" = "user" + id`, []string{`{"user":10} {"user":11} {"user":12}`}},
			{`UPDATE users SET n = CASE id WHEN 1 THEN 0.2 ELSE 0.1 END`, []string{`{"user":11} {"user":12}`}},            // exchanged
			{`UPDATE users SET "user" = 23 - "user", n = 0.3 - n WHERE id > 0`, []string{`{"user":11} {"user":12}`}},      // two rows exchange all
			{`SET extra_float_digits = -5; UPDATE users SET n = n + 1e-14 WHERE id = 1`, []string{`{"user":12}`}},         // in the last digits
			{`UPDATE users SET id = id + 5 WHERE id = 1`, []string{`{"user":12}`}},                                        // the key counts
			{`INSERT INTO users VALUES (11, 1), (12, 1), (13, 1); UPDATE users SET seen = now()`, []string{`{"user":1}`}}, // five rows, none counts
			{`UPDATE users SET n = 0, seen = now() WHERE id > 11`, []string{`{"user":1}`}},                                // two do
			{`DELETE FROM users WHERE id > 12`, []string{`{"user":1}`}},
		} {
			if form == "row" { // one row of the outbox for each of the table
				db.Exec(c.sql)
				var all []string
				for _, told := range drain(t, o) {
					all = append(all, strings.Fields(told)...)
				}
				slices.Sort(all)
				if got := strings.Join(slices.Compact(all), " "); got != strings.Join(c.want, " ") {
					t.Errorf("by row: %s: got %q, want %q", c.sql, got, c.want)
				}
				continue
			}
			check(t, db, o, c.sql, c.want...)
		}
		if form == "statement" {
			check(t, db, o, `INSERT INTO users SELECT i, i FROM generate_series(100, 103) AS i`, "all") // four are more than three
			check(t, db, o, `UPDATE users SET n = 7 WHERE id > 99`, "all")
			check(t, db, o, `UPDATE users SET n = 8 WHERE id > 100`, `{"user":101} {"user":102} {"user":103}`)
			check(t, db, o, `UPDATE users SET seen = now() WHERE id > 99`)
			check(t, db, o, `DELETE FROM users WHERE id > 99`, "all")
		}
		db.Exec(`DROP TABLE users`)
	}
	// Without a key nobody knows which row is which.
	db.Exec(`CREATE TABLE users (id int, n int, seen timestamptz); INSERT INTO users VALUES (1), (2)`)
	notes := install(t, o, outbox.Options{Prune: true}, outbox.Set{Table: "users", Captured: []string{"id"}, Filter: []string{"n"}})
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "no primary key") }) {
		t.Errorf("nobody is told that each UPDATE counts: %q", notes)
	}
	check(t, db, o, `UPDATE users SET seen = now()`, `{"id":1} {"id":2}`)
}

// TestPostgresPartitions: a row is told whatever table is named, also in a partition that
// was attached later.
func TestPostgresPartitions(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	db.Exec(`CREATE TABLE users (id int, name text) PARTITION BY RANGE (id);
		CREATE TABLE p0 PARTITION OF users FOR VALUES FROM (0) TO (10);
		CREATE TABLE p1 PARTITION OF users FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
		CREATE TABLE p10 PARTITION OF p1 FOR VALUES FROM (10) TO (15)`)
	o := open(t, db.URL())
	notes := install(t, o, outbox.Options{}, userSet("id"))
	if !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, "is partitioned") }) {
		t.Errorf("nobody is told of partitions: %q", notes)
	}
	check(t, db, o, `INSERT INTO users VALUES (1), (11)`, `{"id":1}`, `{"id":11}`)
	check(t, db, o, `INSERT INTO p0 VALUES (2); INSERT INTO p10 VALUES (12)`, `{"id":2}`, `{"id":12}`)
	check(t, db, o, `UPDATE p0 SET name = 'x' WHERE id = 1`, `{"id":1}`)
	check(t, db, o, `UPDATE users SET id = 13 WHERE id = 2`, `{"id":2}`, `{"id":13}`) // moved
	check(t, db, o, `CREATE TABLE p2 (name text, dropped int, id int NOT NULL); ALTER TABLE p2 DROP dropped;
		ALTER TABLE users ATTACH PARTITION p2 FOR VALUES FROM (20) TO (30)`)
	check(t, db, o, `INSERT INTO p2 (id) VALUES (21); INSERT INTO users VALUES (22); SET session_replication_role = replica; DELETE FROM p2 WHERE id = 21`,
		`{"id":21}`, `{"id":22}`, `{"id":21}`)
	check(t, db, o, `TRUNCATE p10`, "all")
	check(t, db, o, `TRUNCATE p2`) // not before it is installed again
	install(t, o, outbox.Options{}, userSet("id"))
	check(t, db, o, `TRUNCATE p2`, "all")
	check(t, db, o, `ALTER TABLE users DETACH PARTITION p2; INSERT INTO p2 (id) VALUES (23)`)
	install(t, o, outbox.Options{}, userSet("id"))
	check(t, db, o, `TRUNCATE p2`)

	// One partition can be watched by itself.
	install(t, o, outbox.Options{Prune: true}, outbox.Set{Table: "p0", Captured: []string{"id"}})
	check(t, db, o, `UPDATE users SET name = 'y' WHERE id = 1; UPDATE users SET name = 'y' WHERE id = 11`, `{"id":1}`)
}

// TestPostgresInheritance: a query of a table reads its children, too.
func TestPostgresInheritance(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	db.Exec(`CREATE TABLE users (id int, name text); CREATE TABLE child (more text) INHERITS (users)`)
	o := open(t, db.URL())
	install(t, o, outbox.Options{}, userSet("id"))
	check(t, db, o, `INSERT INTO users VALUES (1); INSERT INTO child VALUES (2)`, `{"id":1}`, `{"id":2}`)
	check(t, db, o, `UPDATE users SET name = 'x' WHERE id = 2; DELETE FROM child WHERE id = 2`, `{"id":2}`, `{"id":2}`)
	check(t, db, o, `TRUNCATE child`, "all")
	check(t, db, o, `TRUNCATE users`, "all", "all")

	// A table that gets its first child changes its form.
	db.Exec(`CREATE TABLE plain (id int, name text)`)
	plain := outbox.Set{Table: "plain", Captured: []string{"id"}}
	install(t, o, outbox.Options{Prune: true}, plain)
	check(t, db, o, `INSERT INTO plain VALUES (1), (2)`, `{"id":1} {"id":2}`)
	db.Exec(`CREATE TABLE plainer () INHERITS (plain)`)
	install(t, o, outbox.Options{}, plain)
	check(t, db, o, `INSERT INTO plainer VALUES (3); INSERT INTO plain VALUES (4), (5)`, `{"id":3}`, `{"id":4}`, `{"id":5}`)
	check(t, db, o, `INSERT INTO users VALUES (9)`) // pruned
}

// TestPostgresNames: any name that the database takes.
func TestPostgresNames(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	db.Exec(`CREATE SCHEMA "My Schema"; CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE mood AS ENUM ('sad', 'glad');
		CREATE FUNCTION evil(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE 'it runs as %', current_user; END $$;
		CREATE CAST (mood AS json) WITH FUNCTION evil(mood)`)
	columns := []string{"id", "f", "n", "r", "x", "c", "k", "v0", "rows", "now", "hearth", "hearth_rows", "TG_OP", "select", "Größe", `with "quotes" and 'these' \ `, "$hearth$", "watch"}
	var quoted, values []string
	for i, c := range columns {
		quoted = append(quoted, `"`+strings.ReplaceAll(c, `"`, `""`)+`"`)
		values = append(values, fmt.Sprint(i))
	}
	for _, tail := range []string{"", " PARTITION BY HASH (id); CREATE TABLE part%d PARTITION OF %s FOR VALUES WITH (MODULUS 1, REMAINDER 0)"} {
		for i, table := range []string{`"My Schema"."Order ""Items"" $hearth$"`, `"User.s"`, `"select"`, "feed"} {
			head := ""
			if tail != "" {
				head = fmt.Sprintf(tail, i, table)
			}
			db.Exec(fmt.Sprintf(`DROP TABLE IF EXISTS %[1]s; CREATE TABLE %[1]s (%[2]s int, p positive, m mood, j json, twice int GENERATED ALWAYS AS ("f" * 2) STORED)%[3]s`,
				table, strings.Join(quoted, " int, "), head))
			captured := slices.Concat(columns, []string{"p", "m", "j", "twice"})
			install(t, o, outbox.Options{Prune: true}, outbox.Set{Table: table, Captured: captured, Filter: []string{"j", "hearth_rows"}})
			db.Exec(fmt.Sprintf(`INSERT INTO %s VALUES (%s, 5, 'glad', '{"a":"\u0000"}'); UPDATE %[1]s SET j = '[1]'`, table, strings.Join(values, ", ")))
			rows := drain(t, o)
			if len(rows) != 2 || !strings.Contains(rows[0], `\\u0000`) || !strings.Contains(rows[0], `"m":"glad"`) ||
				!strings.Contains(rows[0], `"p":"5"`) || !strings.Contains(rows[0], `"Größe":14`) || !strings.Contains(rows[0], `"twice":2`) {
				t.Errorf("%s%s: got %q", table, head, rows)
			}
			sets, err := o.Sets(t.Context())
			if err != nil || len(sets) != 1 || !slices.Equal(sets[0].Captured, captured) {
				t.Errorf("%s: Sets: got %+v, %v", table, sets, err)
			}
		}
	}
}

package outbox

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// readsSchema is the same in all databases: three tables, and views over them.
const readsSchema = `CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), city INT);
CREATE TABLE orders (id INT PRIMARY KEY, user_id INT, product_id INT);
CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(20));
CREATE INDEX by_user ON orders (user_id);
CREATE VIEW named AS SELECT id, name FROM users WHERE city > 0;
CREATE VIEW counted AS SELECT user_id, count(*) AS n FROM orders GROUP BY user_id;
CREATE VIEW both_views AS SELECT named.id, counted.n FROM named JOIN counted ON counted.user_id = named.id`

// reading opens an outbox, and makes tables in its database.
func reading(t *testing.T, url, more string) *Outbox {
	t.Helper()
	o, err := New(engine.Config{URL: url, MaxConns: 2, Timeout: 20e9})
	if err == nil {
		err = o.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	if err := o.engine.Run(t.Context(), strings.Split(readsSchema+more, ";\n")); err != nil {
		t.Fatal(err)
	}
	return o
}

// readings are statements that all databases take, and what they read.
var manyReadings = [][2]string{
	{"SELECT * FROM users WHERE id = {row.a}", "users"},
	{"SELECT * FROM users WHERE id = {row.a} AND 1 = 0", "users"},
	{"SELECT max(id) FROM users", "users"},
	{"SELECT count(*) FROM orders WHERE user_id = {row.a}", "orders"},
	{"SELECT user_id FROM orders WHERE user_id IN ({row.a}, {row.b}) ORDER BY 1 LIMIT 1;", "orders"},
	{"SELECT o.id, p.name FROM orders o JOIN products p ON p.id = o.product_id WHERE o.user_id = {row.a}", "orders products"},
	{"SELECT o.id FROM orders AS o, products AS p, users WHERE p.id = o.product_id AND o.user_id = {row.a}", "orders products users"},
	{"SELECT o.id, p.name FROM orders o LEFT JOIN products p ON p.id = o.product_id WHERE o.user_id = {row.a}", "orders products"},
	{"SELECT id, (SELECT count(*) FROM orders WHERE user_id = users.id) AS n FROM users WHERE id = {row.a}", "orders users"},
	{"SELECT id FROM users WHERE id = {row.a} AND EXISTS (SELECT 1 FROM products WHERE products.id = 1)", "products users"},
	{"SELECT id FROM users WHERE id IN (SELECT user_id FROM orders WHERE product_id = {row.a})", "orders users"},
	{"SELECT id FROM users WHERE id = {row.a} UNION ALL SELECT id FROM products", "products users"},
	{"WITH products AS (SELECT * FROM orders WHERE user_id = {row.a}) SELECT * FROM products", "orders"},
	{"SELECT * FROM (SELECT user_id, count(*) AS n FROM orders GROUP BY user_id) x WHERE x.user_id = {row.a}", "orders"},
	{"SELECT * FROM named WHERE id = {row.a}", "users"},
	{"SELECT * FROM counted WHERE user_id = {row.a}", "orders"},
	{"SELECT * FROM both_views WHERE id = {row.a}", "orders users"},
	{"SELECT id FROM users ORDER BY (SELECT max(id) FROM products)", "products users"},
	{"SELECT 'FROM products' AS x FROM users /* FROM orders */ WHERE id = {row.a}", "users"},
	{"SELECT 1 AS one", ""},
}

// testReads asks about each of the statements. Names stand behind the prefix.
func testReads(t *testing.T, o *Outbox, prefix string, all [][2]string) {
	t.Helper()
	for _, r := range all {
		got, err := o.Reads(t.Context(), r[0])
		var want []string
		for _, name := range strings.Fields(r[1]) {
			if !strings.Contains(name, ".") {
				name = prefix + name
			}
			want = append(want, name)
		}
		if slices.Sort(want); err != nil || !slices.Equal(got.Relations, want) {
			t.Errorf("%s: reads %q (%v), want %q", r[0], got.Relations, err, want)
		}
	}
	if got, err := o.Reads(t.Context(), "SELECT nobody FROM users"); err == nil || o.Fault(err).Class != engine.FaultRefused {
		t.Errorf("a query that is refused reads %v (%v)", got, err)
	}
	if got, err := o.Reads(t.Context(), "SELECT id, name FROM users"); err != nil || got.Columns != 2 {
		t.Errorf("got %+v (%v), want two columns", got, err)
	}
}

func TestReadsPostgres(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := reading(t, db.URL(), `;
CREATE SCHEMA shop;
CREATE TABLE shop."Odd name" (id INT PRIMARY KEY);
CREATE TABLE parted (id INT, region TEXT, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE parted_eu_1 PARTITION OF parted_eu FOR VALUES FROM (0) TO (1000);
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE child (extra INT) INHERITS (parent);
CREATE MATERIALIZED VIEW stored AS SELECT id FROM users;
CREATE FUNCTION inlined(INT) RETURNS SETOF products LANGUAGE sql STABLE AS 'SELECT * FROM products WHERE id = $1';
CREATE FUNCTION parts(INT) RETURNS SETOF parted LANGUAGE sql STABLE AS 'SELECT * FROM parted WHERE id = $1';
CREATE FUNCTION opaque(INT) RETURNS INT LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(id) FROM products); END';
CREATE TABLE guarded (id INT PRIMARY KEY);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY seen ON guarded USING (id IN (SELECT user_id FROM orders))`)
	testReads(t, o, "public.", manyReadings)
	testReads(t, o, "public.", [][2]string{
		{`SELECT * FROM shop."Odd name" WHERE id = {row.a} FOR UPDATE`, `shop."Odd`},
		{"SELECT * FROM parted WHERE id = {row.a}", "parted"},
		{"SELECT * FROM parted WHERE id = {row.a} AND region = 'eu'", "parted"},
		{"SELECT * FROM parted WHERE id = {row.a} AND region = 'us'", "parted"},
		{"SELECT * FROM parted_eu_1 WHERE id = {row.a}", "parted_eu_1"},
		{"SELECT * FROM parent WHERE id = {row.a}", "parent"},
		{"SELECT * FROM child WHERE id = {row.a}", "child"},
		{"SELECT * FROM parent LEFT JOIN child USING (id) WHERE id = {row.a}", "child parent"},
		{"SELECT * FROM stored WHERE id = {row.a}", "stored"},
		{"SELECT * FROM inlined({row.a}::int)", "products"},
		{"SELECT * FROM parts({row.a}::int)", "parted"},
		{"SELECT opaque({row.a}::int)", ""}, // which is documented
		{"SELECT u.id FROM users u LEFT JOIN products p ON p.id = u.city WHERE u.id = {row.a}", "products users"},
		{"SELECT relname FROM pg_class WHERE oid = {row.a}", ""},
	}[1:])
	if got, err := o.Reads(t.Context(), `SELECT * FROM shop."Odd name" WHERE id = {row.a} FOR UPDATE`); err != nil || !slices.Equal(got.Relations, []string{`shop."Odd name"`}) {
		t.Errorf("got %q (%v)", got.Relations, err)
	}
	through, err := New(engine.Config{URL: testkit.PgBouncer(t, db, "transaction", "default_pool_size = 1").URL(), MaxConns: 2, Timeout: 20e9})
	if err == nil {
		err = through.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = through.Close() })
	testReads(t, through, "public.", manyReadings)
	// Nothing is left in the session: no transaction, no statement, no lock.
	left := db.Query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'hearth' AND state <> 'idle'")
	if fmt.Sprint(left) != fmt.Sprint([][]string{{"0"}}) {
		t.Errorf("%v sessions are not idle", left)
	}
}

func TestReadsMariaDB(t *testing.T) {
	t.Parallel()
	db := testkit.MariaDB(t)
	o := reading(t, db.URL(), `;
CREATE ALGORITHM=TEMPTABLE VIEW temptable AS SELECT * FROM products;
CREATE VIEW deep AS SELECT temptable.id FROM temptable JOIN counted ON counted.user_id = temptable.id;
CREATE FUNCTION opaque(x INT) RETURNS INT READS SQL DATA RETURN (SELECT max(id) FROM products)`)
	home := db.URL()[strings.LastIndexByte(db.URL(), '/')+1:]
	testReads(t, o, home+".", manyReadings)
	testReads(t, o, home+".", [][2]string{
		{"SELECT * FROM temptable WHERE id = {row.a}", "products"},
		{"SELECT * FROM deep WHERE id = {row.a}", "orders products"},
		{"SELECT opaque({row.a})", ""}, // which is documented
		{"SELECT u.id FROM users u LEFT JOIN products p ON p.id = u.city WHERE u.id = {row.a} FOR UPDATE", "products users"},
		{"SELECT * FROM users WHERE id = (SELECT max(id) FROM products WHERE id = 1) AND city = {row.a}", "products users"},
		{"SELECT table_name FROM information_schema.tables WHERE table_name = {row.a}", ""},
		{"SELECT * FROM `" + home + "`.`users` WHERE id = {row.a}", "users"},
	})
}

func TestReadsSQLite(t *testing.T) {
	t.Parallel()
	o := reading(t, "sqlite:"+filepath.Join(t.TempDir(), "reads.db"), `;
CREATE TABLE plain (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
CREATE VIRTUAL TABLE searched USING fts5 (text);
CREATE VIEW found AS SELECT text FROM searched`)
	testReads(t, o, "", manyReadings)
	testReads(t, o, "", [][2]string{
		{"SELECT v FROM plain WHERE k = {row.a}", "plain"},
		{"SELECT * FROM searched WHERE text MATCH {row.a}", "searched"},
		{"SELECT * FROM found WHERE text = {row.a}", "searched"},
		{"SELECT value FROM json_each({row.a})", ""},
		{"SELECT id FROM orders WHERE id = {row.a} OR user_id = {row.a}", "orders"},
	})
}

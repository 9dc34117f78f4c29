package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// kinds makes changes of every kind, and looks after each at what has to be told by it.
func kinds(t *trial) {
	t.part("PostgreSQL", func(t *trial) {
		db := testkit.Postgres(t, testkit.OwnServer("max_prepared_transactions = 5"))
		t.kinds(&ground{name: "PostgreSQL", url: db.URL(), shell: db.Session}, postgresKinds)
	})
	t.part("MariaDB", func(t *trial) {
		db := testkit.MariaDB(t)
		t.kinds(&ground{name: "MariaDB", url: db.URL(), shell: db.Session}, mariadbKinds)
	})
	t.part("SQLite", func(t *trial) {
		g := onSQLite(t, 1)
		g.exec(t, "DROP TABLE numbers;")
		t.kinds(g, sqliteKinds)
	})
}

// kindsOf are changes of one database.
type kindsOf struct {
	tables    string // statements that make them
	resources string
	paths     []string // that are looked at
	changes   []change
}

// change is statements of a foreign program.
type change struct{ name, sql string }

// lookWithin is how long after a change answers may be old at most here.
const lookWithin = 2 * time.Second

// kinds compares an instance with the feed with another one, which has a Redis of its own
// that is emptied before it is asked: what that answers is what the database has.
func (t *trial) kinds(g *ground, of kindsOf) {
	t.Helper()
	g.exec(t, of.tables)
	redis, empty := testkit.Redis(t), testkit.Redis(t)
	config := func(mode string, redis *testkit.RedisServer) string {
		return fmt.Sprintf(kindsConfiguration, redis.URL(), g.url, mode) + of.resources
	}
	t.verb(config(t.mode, redis), "feed", "install", "-apply")
	in := launch.Program{Path: t.binary, Config: config(t.mode, redis), Public: launch.Port, Admin: launch.Port}.Ready(t)
	truth := launch.Program{Path: t.binary, Config: config("off", empty), Public: launch.Port, Admin: launch.Port}.Ready(t)
	f := &fleet{trial: t, ground: g, ins: []*launch.Instance{in}, off: t.mode == "off"}
	f.live()
	missed := 0
	for _, c := range of.changes {
		for _, path := range of.paths {
			in.Get(path)
			in.Get(path)
		}
		if _, err := g.ask(c.sql); err != nil {
			t.Bound(false, "%s: the change fails: %v", c.name, err)
			missed++
			continue
		}
		empty.Do("FLUSHALL")
		// Its memory has heard of that when it asks again.
		want := map[string]string{}
		for _, path := range of.paths {
			truth.AskAdmin(http.MethodPost, "/api/invalidate", fmt.Sprintf(`{"paths":[%q]}`, path))
			want[path] = answer(truth.Get(path))
		}
		wrong := ""
		if _, good := f.await(t.within(lookWithin), func() bool {
			for _, path := range of.paths {
				if got := answer(in.Get(path)); got != want[path] {
					wrong = fmt.Sprintf("%s is answered %.300s, the database has %.300s", path, got, want[path])
					return false
				}
			}
			return true
		}); !good {
			t.Bound(false, "%s: %s", c.name, wrong)
			missed++
		}
	}
	t.Bound(missed == 0, "of %d kinds of changes on %s, %d are not told", len(of.changes), g.name, missed)
}

// answer is what a reply says, without where it came from.
func answer(r launch.Reply) string {
	body, _, _ := strings.Cut(r.Body, `,"source":`)
	if r.Code != http.StatusOK {
		body = ""
	}
	return fmt.Sprintf("%d %s", r.Code, body)
}

const kindsConfiguration = `
[server]
drain = "0s"
[redis]
url = %q
[database]
url = %q
[memory]
budget = "64MiB"
revalidate = "10m"
[load]
hot_rate = 1000000
[log]
slow = "1h"
[feed]
mode = %q
degraded_after = "10m"
`

var postgresKinds = kindsOf{
	tables: `
CREATE SCHEMA "Odd Names";
CREATE TABLE "Odd Names"."Item ""List""" ("User Id" text PRIMARY KEY, v int);
INSERT INTO "Odd Names"."Item ""List""" VALUES ('a/b c%', 0), ('é{}*?[x]', 0), ('it''s', 0);
CREATE TABLE uuids (id uuid PRIMARY KEY, v int);
INSERT INTO uuids VALUES ('AAAAAAAA-0000-4000-8000-00000000000A', 0);
CREATE TABLE big (id bigint PRIMARY KEY, v int);
INSERT INTO big VALUES (9007199254740993, 0), (-9223372036854775808, 0), (9223372036854775807, 0);
CREATE TABLE parts (id int, grp int, v int, PRIMARY KEY (id, grp)) PARTITION BY RANGE (grp);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 1, 0), (2, 11, 0);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, v int);
INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0);
CREATE TABLE products (id int PRIMARY KEY, name text, stock int);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, product_id int);
INSERT INTO products VALUES (1, 'a', 0), (2, 'b', 0); INSERT INTO orders VALUES (1, 1, 1), (2, 1, 2), (3, 2, 2);
CREATE TABLE settings (name text, value text);
INSERT INTO settings VALUES ('a', '0');
CREATE TABLE nokey (id int, v int, other int);
INSERT INTO nokey VALUES (1, 0, 0), (1, 0, 0), (2, 0, 0), (NULL, 0, 0);
CREATE VIEW seen AS SELECT n.id, n.v + (SELECT count(*) FROM settings) AS v FROM nokey n;
CREATE TABLE kinds (id bigint PRIMARY KEY, v int, extra text);
INSERT INTO kinds SELECT n, 0, 'x' FROM generate_series(1, 9) n;
CREATE ROLE app LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
`,
	resources: `
[[resource]]
name = "odd"
path = "/odd/{id:string}"
key = "odd:{id}"
select = '''SELECT "User Id", v FROM "Odd Names"."Item ""List""" WHERE "User Id" = {id}'''
[[resource]]
name = "uuid"
path = "/uuid/{id:uuid}"
key = "uuid:{id}"
select = "SELECT id, v FROM uuids WHERE id = {id}"
[[resource]]
name = "big"
path = "/big/{id:int}"
key = "big:{id}"
select = "SELECT id, v FROM big WHERE id = {id}"
[[resource]]
name = "part"
path = "/part/{grp:int}"
key = "part:{grp}"
rows = "many"
select = "SELECT id, grp, v FROM parts WHERE grp = {grp} ORDER BY id"
[[resource]]
name = "child"
path = "/child/{parent:int}"
key = "child:{parent}"
rows = "many"
select = "SELECT id, parent, v FROM child WHERE parent = {parent} ORDER BY id"
[[resource]]
name = "orders"
path = "/orders/{user_id:int}"
key = "orders:{user_id}"
rows = "many"
select = "SELECT o.id, p.name FROM orders o JOIN products p ON p.id = o.product_id WHERE o.user_id = {user_id} ORDER BY o.id"
[[resource.watch]]
table = "orders"
key = { user_id = "user_id" }
[[resource.watch]]
table = "products"
columns = ["name"]
keys = "SELECT user_id FROM orders WHERE product_id = {row.id}"
[[resource]]
name = "nokey"
path = "/nokey/{id:int}"
key = "nokey:{id}"
rows = "many"
select = "SELECT id, v FROM nokey WHERE id = {id}"
[[resource.watch]]
table = "nokey"
key = { id = "id" }
columns = ["v"]
[[resource]]
name = "seen"
path = "/seen/{id:int}"
key = "seen:{id}"
rows = "many"
select = "SELECT id, v FROM seen WHERE id = {id}"
[[resource.watch]]
table = "nokey"
key = { id = "id" }
[[resource.watch]]
table = "settings"
all = true
[[resource]]
name = "kind"
path = "/kind/{id:int}"
key = "kind:{id}"
select = "SELECT id, v FROM kinds WHERE id = {id}"
[[resource.watch]]
table = "kinds"
key = { id = "id" }
columns = ["v", "extra"]
`,
	paths: []string{
		"/odd/a%2Fb%20c%25", "/odd/%C3%A9%7B%7D*%3F%5Bx%5D", "/odd/it's", "/odd/new", "/uuid/aaaaaaaa-0000-4000-8000-00000000000a", "/uuid/bbbbbbbb-0000-4000-8000-00000000000b",
		"/big/9007199254740993", "/big/-9223372036854775808", "/big/9223372036854775807", "/part/1", "/part/11", "/part/12", "/part/25", "/child/1", "/child/2", "/child/3", "/child/4",
		"/orders/1", "/orders/2", "/orders/3", "/nokey/1", "/nokey/2", "/nokey/3", "/seen/1", "/seen/2",
		"/kind/1", "/kind/2", "/kind/3", "/kind/4", "/kind/5", "/kind/6", "/kind/7", "/kind/8", "/kind/9", "/kind/10", "/kind/11",
	},
	changes: []change{
		{"names and values that need quotes", `UPDATE "Odd Names"."Item ""List""" SET v = v + 1;`},
		{"an INSERT where nothing was", `INSERT INTO "Odd Names"."Item ""List""" VALUES ('new', 1);`},
		{"a key's text that changes", `UPDATE "Odd Names"."Item ""List""" SET "User Id" = 'it''s' || 'x' WHERE "User Id" = 'it''s';`},
		{"uuids", "UPDATE uuids SET v = 1; INSERT INTO uuids VALUES ('bbbbbbbb-0000-4000-8000-00000000000b', 0);"},
		{"integers that are no floats", "UPDATE big SET v = 1;"},
		{"a partitioned table", "UPDATE parts SET v = 1;"},
		{"a row that moves to another partition", "UPDATE parts SET grp = 12 WHERE id = 1;"},
		{"a partition itself", "UPDATE parts_2 SET v = 2; INSERT INTO parts_1 VALUES (3, 1, 0);"},
		{"a partition that is attached", "CREATE TABLE parts_3 (id int NOT NULL, grp int NOT NULL, v int); INSERT INTO parts_3 VALUES (9, 25, 0); ALTER TABLE parts ATTACH PARTITION parts_3 FOR VALUES FROM (20) TO (30); UPDATE parts SET v = 5 WHERE grp = 25;"},
		{"a partition that is emptied", "TRUNCATE parts_1;"},
		{"the partitioned table emptied", "TRUNCATE parts;"},
		{"a cascade of DELETE", "DELETE FROM parent WHERE id = 1;"},
		{"a cascade of UPDATE", "UPDATE parent SET id = 4 WHERE id = 2;"},
		{"a cascade of TRUNCATE", "TRUNCATE parent CASCADE;"},
		{"a joined table", "UPDATE products SET name = 'c' WHERE id = 2;"},
		{"a row of the joining table that moves", "UPDATE orders SET user_id = 3 WHERE id = 3;"},
		{"both in one transaction", "BEGIN; UPDATE orders SET product_id = 1 WHERE id = 2; UPDATE products SET name = 'd'; DELETE FROM orders WHERE id = 1; COMMIT;"},
		{"a joined row that goes", "DELETE FROM products WHERE id = 1;"},
		{"any row of a table that concerns all", "INSERT INTO settings VALUES ('b', '1');"},
		{"… and one that goes", "DELETE FROM settings WHERE name = 'a';"},
		{"a table without a key", "UPDATE nokey SET v = 1 WHERE id = 1;"},
		{"… of which rows are the same, and one is not any more", "UPDATE nokey SET v = 2 WHERE ctid IN (SELECT min(ctid) FROM nokey WHERE id = 1);"},
		{"… whose values are exchanged", "UPDATE nokey SET v = 1 WHERE id = 2; UPDATE nokey SET v = 7 - v WHERE id IN (1, 2);"},
		{"… whose key is null and then is not", "UPDATE nokey SET id = 3 WHERE id IS NULL;"},
		{"… or null again", "UPDATE nokey SET id = NULL WHERE id = 3;"},
		{"an UPDATE of one row", "UPDATE kinds SET v = 1 WHERE id = 1;"},
		{"an UPDATE of what is not read, and filtered for", "UPDATE kinds SET extra = 'y' WHERE id = 2;"},
		{"an UPDATE of the key", "UPDATE kinds SET id = 10 WHERE id = 9;"},
		{"an UPDATE that exchanges keys", "UPDATE kinds SET v = 100 + id; ALTER TABLE kinds DROP CONSTRAINT kinds_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED; UPDATE kinds SET id = 3 - id WHERE id IN (1, 2);"},
		{"a DELETE", "DELETE FROM kinds WHERE id = 3;"},
		{"an upsert of both", "INSERT INTO kinds VALUES (3, 5, 'x'), (11, 5, 'x'); ALTER TABLE kinds DROP CONSTRAINT kinds_pkey, ADD PRIMARY KEY (id); INSERT INTO kinds VALUES (3, 6, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v;"},
		{"COPY", "DELETE FROM kinds WHERE id = 11;\nCOPY kinds FROM STDIN;\n11\t7\tx\n\\.\n"},
		{"MERGE", "MERGE INTO kinds k USING (VALUES (1, 8), (11, 8), (12, 8)) AS s (id, v) ON k.id = s.id WHEN MATCHED AND s.id = 11 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v, 'x');"},
		{"a subtransaction that is rolled back", "BEGIN; UPDATE kinds SET v = 9 WHERE id = 4; SAVEPOINT s; UPDATE kinds SET v = 9 WHERE id = 5; ROLLBACK TO s; COMMIT;"},
		{"a block with an exception", "DO $$ BEGIN UPDATE kinds SET v = 10 WHERE id = 5; BEGIN UPDATE kinds SET v = 10 WHERE id = 6; RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$;"},
		{"a prepared transaction", "BEGIN; UPDATE kinds SET v = 11 WHERE id = 6; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';"},
		{"as a replica", "SET session_replication_role = replica; UPDATE kinds SET v = 12 WHERE id = 7;"},
		{"as a role that may write the table alone", "SET ROLE app; UPDATE kinds SET v = 13 WHERE id = 8;"},
		{"with a search path of its own", "CREATE SCHEMA hostile; CREATE FUNCTION hostile.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'; SET search_path = hostile, public; UPDATE kinds SET v = 14 WHERE id = 1;"},
		{"in a common table expression", "WITH w AS (UPDATE kinds SET v = 15 WHERE id = 2 RETURNING id) INSERT INTO kinds SELECT 9, 15, 'x' FROM w;"},
		{"serializable", "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE kinds SET v = 16 WHERE id = 3; COMMIT;"},
		{"a view that can be updated", "CREATE VIEW through AS SELECT id, v FROM kinds; UPDATE through SET v = 17 WHERE id = 4; DROP VIEW through;"},
		{"a column that is renamed, which no query reads", "ALTER TABLE kinds RENAME COLUMN extra TO other; UPDATE kinds SET v = 18 WHERE id = 5;"},
		{"… and its row goes", "DELETE FROM kinds WHERE id = 5;"},
		{"a column that is dropped", "ALTER TABLE kinds DROP COLUMN other; UPDATE kinds SET v = 19 WHERE id = 6; INSERT INTO kinds VALUES (5, 1);"},
		{"a column of another type", "ALTER TABLE kinds ALTER COLUMN v TYPE numeric(20, 2); UPDATE kinds SET v = 19.5;"},
		{"another name of the table and back", "ALTER TABLE kinds RENAME TO renamed; UPDATE renamed SET v = 20 WHERE id = 8; ALTER TABLE renamed RENAME TO kinds;"},
		{"the table emptied", "TRUNCATE kinds;"},
	},
}

var mariadbKinds = kindsOf{
	tables: `
CREATE TABLE kinds (id bigint PRIMARY KEY, v int, extra varchar(20), UNIQUE KEY extra (extra));
INSERT INTO kinds VALUES (1, 0, 'a'), (2, 0, 'b'), (3, 0, 'c'), (4, 0, 'd');
CREATE TABLE ` + "`odd ``names```" + ` (` + "`user id`" + ` varchar(40) COLLATE utf8mb4_bin PRIMARY KEY, v int);
INSERT INTO ` + "`odd ``names```" + ` VALUES ('it''s', 0), ('a/b "c"\\', 0);
CREATE TABLE parent (id int PRIMARY KEY) ENGINE = InnoDB;
CREATE TABLE child (id int PRIMARY KEY, parent int, v int, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE = InnoDB;
INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0);
CREATE TABLE grand (id int PRIMARY KEY, child int, v int, FOREIGN KEY (child) REFERENCES child (id) ON DELETE CASCADE) ENGINE = InnoDB;
INSERT INTO grand VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0);
CREATE TABLE big (id bigint unsigned PRIMARY KEY, v int);
INSERT INTO big VALUES (9007199254740993, 0);
`,
	resources: `
[[resource]]
name = "kind"
path = "/kind/{id:int}"
key = "kind:{id}"
select = "SELECT id, v, extra FROM kinds WHERE id = {id}"
[[resource]]
name = "odd"
path = "/odd/{id:string}"
key = "odd:{id}"
select = "SELECT ` + "`user id`" + `, v FROM ` + "`odd ``names```" + ` WHERE ` + "`user id`" + ` = {id}"
[[resource]]
name = "child"
path = "/child/{parent:int}"
key = "child:{parent}"
rows = "many"
select = "SELECT id, parent, v FROM child WHERE parent = {parent} ORDER BY id"
[[resource]]
name = "grand"
path = "/grand/{child:int}"
key = "grand:{child}"
rows = "many"
select = "SELECT id, child, v FROM grand WHERE child = {child} ORDER BY id"
[[resource]]
name = "big"
path = "/big/{id:int}"
key = "big:{id}"
select = "SELECT id, v FROM big WHERE id = {id}"
`,
	paths: []string{"/kind/1", "/kind/2", "/kind/3", "/kind/4", "/kind/5", "/kind/6", "/odd/it's", "/odd/a%2Fb%20%22c%22%5C", "/odd/new", "/child/1", "/child/2", "/child/3", "/child/4",
		"/grand/1", "/grand/2", "/grand/3", "/big/9007199254740993"},
	changes: []change{
		{"an UPDATE", "UPDATE kinds SET v = 1;"},
		{"an INSERT where nothing was", "INSERT INTO kinds VALUES (5, 1, 'e');"},
		{"an UPDATE of the key", "UPDATE kinds SET id = 6 WHERE id = 5;"},
		{"REPLACE of its row", "REPLACE INTO kinds VALUES (1, 2, 'a');"},
		{"REPLACE that removes another row", "REPLACE INTO kinds VALUES (1, 3, 'b');"},
		{"an upsert", "INSERT INTO kinds VALUES (3, 9, 'x') ON DUPLICATE KEY UPDATE v = 4;"},
		{"an upsert by another key", "INSERT INTO kinds VALUES (77, 9, 'd') ON DUPLICATE KEY UPDATE v = 5;"},
		{"names and values that need quotes", "UPDATE `odd ``names``` SET v = 1; INSERT INTO `odd ``names``` VALUES ('new', 1);"},
		{"integers that are no floats", "UPDATE big SET v = 1;"},
		{"a cascade of DELETE, over two tables", "DELETE FROM parent WHERE id = 1;"},
		{"a cascade of UPDATE", "UPDATE parent SET id = 4 WHERE id = 2;"},
		{"a statement over two tables", "UPDATE kinds k JOIN big b ON b.v = 1 SET k.v = 6, b.v = 2;"},
		{"a DELETE", "DELETE FROM kinds WHERE id = 3;"},
		{"a transaction with one that is rolled back", "START TRANSACTION; UPDATE kinds SET v = 7 WHERE id = 4; SAVEPOINT s; UPDATE kinds SET v = 8 WHERE id = 6; ROLLBACK TO SAVEPOINT s; COMMIT;"},
		{"a prepared transaction", "XA START 'p'; UPDATE kinds SET v = 9 WHERE id = 4; XA END 'p'; XA PREPARE 'p'; XA COMMIT 'p';"},
	},
}

var sqliteKinds = kindsOf{
	tables: `
CREATE TABLE kinds (id INTEGER PRIMARY KEY, v INTEGER, extra TEXT);
INSERT INTO kinds VALUES (1, 0, 'a'), (2, 0, 'b'), (3, 0, 'c'), (4, 0, 'd');
CREATE TABLE "odd ""names""" ("user id" TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID;
INSERT INTO "odd ""names""" VALUES ('it''s', 0), ('a/b "c"', 0);
CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, v INTEGER);
INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0);
`,
	resources: `
[[resource]]
name = "kind"
path = "/kind/{id:int}"
key = "kind:{id}"
select = "SELECT id, v, extra FROM kinds WHERE id = {id}"
[[resource]]
name = "odd"
path = "/odd/{id:string}"
key = "odd:{id}"
select = '''SELECT "user id", v FROM "odd ""names""" WHERE "user id" = {id}'''
[[resource]]
name = "child"
path = "/child/{parent:int}"
key = "child:{parent}"
rows = "many"
select = "SELECT id, parent, v FROM child WHERE parent = {parent} ORDER BY id"
`,
	paths: []string{"/kind/1", "/kind/2", "/kind/3", "/kind/4", "/kind/5", "/kind/6", "/kind/9007199254740993", "/odd/it's", "/odd/a%2Fb%20%22c%22", "/odd/new", "/child/1", "/child/2", "/child/3", "/child/4"},
	changes: []change{
		{"an UPDATE", "UPDATE kinds SET v = 1;"},
		{"an INSERT where nothing was", "INSERT INTO kinds VALUES (5, 1, 'e'), (9007199254740993, 1, 'f');"},
		{"integers that are no floats", "UPDATE kinds SET v = 2 WHERE id = 9007199254740993;"},
		{"an UPDATE of the key", "UPDATE kinds SET id = 6 WHERE id = 5;"},
		{"REPLACE of its row", "REPLACE INTO kinds VALUES (1, 2, 'a');"},
		{"an upsert", "INSERT INTO kinds VALUES (3, 9, 'x') ON CONFLICT (id) DO UPDATE SET v = 4;"},
		{"names and values that need quotes", `UPDATE "odd ""names""" SET v = 1; INSERT INTO "odd ""names""" VALUES ('new', 1);`},
		{"a cascade of DELETE", "PRAGMA foreign_keys = on; DELETE FROM parent WHERE id = 1;"},
		{"a cascade of UPDATE", "PRAGMA foreign_keys = on; UPDATE parent SET id = 4 WHERE id = 2;"},
		{"a transaction with one that is rolled back", "BEGIN; UPDATE kinds SET v = 7 WHERE id = 4; SAVEPOINT s; UPDATE kinds SET v = 8 WHERE id = 6; ROLLBACK TO s; COMMIT;"},
		{"a column that is renamed, which no query names by itself", "ALTER TABLE kinds ADD COLUMN more INTEGER; UPDATE kinds SET v = 9 WHERE id = 2;"},
		{"a DELETE of all", "DELETE FROM kinds;"},
	},
}

package database_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// writable is a resource of one integer parameter.
func writable(read, upsert string) database.Spec {
	return database.Spec{Name: "r", Params: []param.Param{{Name: "id", Type: "int"}}, Select: read, Upsert: upsert}
}

// refused checks that a body is refused for a member, and why.
func refused(t *testing.T, r source.Records, body, member, reason string) {
	t.Helper()
	got, err := tryPut(t, r, body, int64(1))
	var fault *source.BodyError
	if !errors.As(err, &fault) || fault.Member != member || !strings.Contains(fault.Reason, reason) {
		t.Errorf("PUT of %s: got %s, %v, want a fault of %q: %s", body, got, err, member, reason)
	}
}

// TestSQLiteKeepsWhatIsUnchanged: values that are not of their column's type
// look like others once they are JSON.
func TestSQLiteKeepsWhatIsUnchanged(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Init: []string{
		`CREATE TABLE t (id INTEGER PRIMARY KEY, other TEXT, blob_text TEXT, int_text TEXT, text_blob BLOB, text_int INTEGER,
			whole REAL, infinite REAL, at DATETIME, stamp TIMESTAMP, yes BOOLEAN, odd TEXT, loose, code NUMERIC, doc JSON)`,
		`INSERT INTO t VALUES (1, 'a', x'00ff', 42, 'plain', 'none', 5, 9e999, '2024-02-29 01:02:03', 1709168523, 'true',
			CAST(x'61ff' AS TEXT), 5.0, 'A7', '{"a":  1.0}')`}})
	const columns = "other, blob_text, int_text, text_blob, text_int, whole, infinite, at, stamp, yes, odd, loose, code, doc"
	r := records(t, db, writable("SELECT id, "+columns+" FROM t WHERE id = {id}",
		"INSERT INTO t (id, "+columns+") VALUES ({id}, {body."+strings.ReplaceAll(columns, ", ", "?}, {body.")+`?})
		ON CONFLICT (id) DO UPDATE SET (`+columns+") = (excluded."+strings.ReplaceAll(columns, ", ", ", excluded.")+")"))
	quoted := "quote(" + strings.ReplaceAll(strings.TrimPrefix(columns, "other, "), ", ", ") || quote(") + ")"
	bare := records(t, db, byID("SELECT "+quoted+" AS s FROM t WHERE id = {id}"))
	before, stored := load(t, r, int64(1)), load(t, bare, int64(1))
	body := strings.Replace(before, `"other":"a"`, `"other":"b"`, 1)
	if got := put(t, r, body, int64(1)); got != body {
		t.Errorf("PUT of %s answers %s", body, got)
	}
	if got := load(t, bare, int64(1)); got != stored {
		t.Errorf("PUT of %s turns\n%s into\n%s", body, stored, got)
	}
	refused(t, r, strings.Replace(body, `"text_int":"none"`, `"text_int":"some"`, 1), "text_int", "has to be an integer")
}

// TestPostgresTakesWhatTheSelectShows: a statement may show a column as something
// else than it is, and write it so.
func TestPostgresTakesWhatTheSelectShows(t *testing.T) {
	t.Parallel()
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Init: []string{
		`CREATE TABLE t (id integer PRIMARY KEY, other text, doc text, data bytea, hash bytea, raw jsonb, at timestamp, tags text[])`,
		`INSERT INTO t VALUES (1, 'a', '"x"', 'abcd', '\x00ff', '{"a": 1}', '2024-02-29 01:02:03', '{x}')`}})
	r := records(t, db, writable(
		`SELECT id, other, doc::jsonb AS doc, convert_from(data, 'UTF8') AS data, encode(hash, 'hex') AS hash, raw::text AS raw, at, tags FROM t WHERE id = {id}`,
		`INSERT INTO t VALUES ({id}, {body.other}, {body.doc}, {body.data}, decode({body.hash}, 'hex'), {body.raw}, COALESCE({body.at?}, now()::timestamp), {body.tags}::text[])
		ON CONFLICT (id) DO UPDATE SET other = {body.other}, doc = {body.doc}, data = {body.data}, hash = excluded.hash, raw = {body.raw}, at = excluded.at, tags = excluded.tags`))
	bare := records(t, db, byID("SELECT doc || data || hash || raw || at || tags::text AS s FROM t WHERE id = {id}"))
	before, stored := load(t, r, int64(1)), load(t, bare, int64(1))
	if want := `{"id":1,"other":"a","doc":"x","data":"abcd","hash":"00ff","raw":"{\"a\": 1}","at":"2024-02-29T01:02:03Z","tags":["x"]}`; before != want {
		t.Fatalf("got %s, want %s", before, want)
	}
	for _, id := range []int64{1, 2} {
		body := strings.Replace(strings.Replace(before, `"a"`, `"b"`, 1), `"id":1`, `"id":`+string(rune('0'+id)), 1)
		if got := put(t, r, body, id); got != body {
			t.Errorf("PUT of %s answers %s", body, got)
		}
		if got := load(t, bare, id); got != stored {
			t.Errorf("PUT of %s turns %s into %s", body, stored, got)
		}
	}
}

func TestPostgresWritesWithoutPreparedStatements(t *testing.T) {
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE TABLE t (id integer PRIMARY KEY, other text, data bytea, tags text[]); INSERT INTO t VALUES (1, 'a', '\x00ff', '{x}')`)
	for _, mode := range []string{"simple_protocol", "exec", "describe_exec", "cache_describe", "cache_statement"} {
		db := open(t, engine.Config{URL: pg.URL() + "&default_query_exec_mode=" + mode})
		r := records(t, db, writable(`SELECT id, other, data, tags FROM t WHERE id = {id}`,
			`UPDATE t SET other = {body.other}, data = {body.data}, tags = {body.tags} WHERE id = {id}`))
		for range 2 {
			body := `{"id":1,"other":"` + mode + `","data":"AP8=","tags":["x"]}`
			if got := put(t, r, body, int64(1)); got != body {
				t.Errorf("%s: PUT of %s answers %s", mode, body, got)
			}
		}
	}
}

// TestMySQLFindsTheColumn: MySQL does not tell the types of parameters, so
// statements are read, in all the ways in which they can be written.
func TestMySQLFindsTheColumn(t *testing.T) {
	const (
		all    = "id, other, data, at, doc, hash"
		values = "{id}, {body.other}, {body.data}, {body.at}, {body.doc}, UNHEX({body.hash})"
		sets   = "other = {body.other}, data = {body.data}, at = {body.at}, doc = {body.doc}, hash = UNHEX({body.hash})"
	)
	maria := testkit.MariaDB(t)
	maria.Exec(`CREATE TABLE t (id int PRIMARY KEY, other text, data blob, at datetime, doc json, hash varbinary(9)) ENGINE=InnoDB;
		CREATE VIEW v AS SELECT * FROM t;
		CREATE PROCEDURE p (i int, o text, d blob, a datetime, j longtext, h varbinary(9)) REPLACE INTO t VALUES (i, o, d, a, j, h)`)
	db := open(t, engine.Config{URL: maria.URL()})
	for _, upsert := range []string{
		"REPLACE INTO t VALUES (" + values + ")",
		"REPLACE t (" + all + ") VALUE (" + values + ")",
		"REPLACE INTO `t` (`id`, `other`, `data`, `at`, `doc`, `hash`) SELECT " + values + " FROM DUAL",
		"INSERT INTO t SET id = {id}, " + sets + " ON DUPLICATE KEY UPDATE " + sets,
		"INSERT INTO t (" + all + ") VALUES (" + values + ") ON DUPLICATE KEY UPDATE " + sets,
		"UPDATE t AS x SET x.other = {body.other}, x.data = COALESCE({body.data}, x.data), at = (IFNULL({body.at}, NOW())), doc = IF(1, {body.doc}, NULL), hash = UNHEX({body.hash}) WHERE id = {id}",
		"UPDATE t SET other = {body.other}, data = FROM_BASE64(TO_BASE64({body.data})), at = CAST({body.at} AS DATETIME), doc = {body.doc}, hash = UNHEX({body.hash}) WHERE id = {id} AND at >= {body.at}",
		"CALL p(" + values + ")",
		"REPLACE INTO v (" + all + ") VALUES (" + values + ")",
	} {
		maria.Exec(`REPLACE INTO t VALUES (1, 'a', x'00ff', '2024-02-29 01:02:03', '"x"', x'aabb')`)
		if strings.Contains(upsert, "TO_BASE64") { // the plain value: a string is its text
			maria.Exec(`UPDATE t SET data = 'AP8='`)
		}
		from := "t"
		if strings.Contains(upsert, " v ") {
			from = "v"
		}
		r := records(t, db, writable("SELECT id, other, data, at, doc, HEX(hash) AS hash FROM "+from+" WHERE id = {id}", upsert))
		before := load(t, r, int64(1))
		if strings.Contains(upsert, "TO_BASE64") {
			before = strings.Replace(before, "QVA4PQ==", "AP8=", 1)
		}
		stored := maria.Text("SELECT HEX(CONCAT(data, at, doc, hash)) FROM t")
		body := strings.Replace(before, `"a"`, `"b"`, 1)
		if got := put(t, r, body, int64(1)); !strings.Contains(got, `"other":"b"`) {
			t.Errorf("%s: PUT of %s answers %s", upsert, body, got)
		}
		if got := maria.Text("SELECT HEX(CONCAT(data, at, doc, hash)) FROM t"); got != stored {
			t.Errorf("%s: PUT of %s turns %s into %s", upsert, body, stored, got)
		}
	}
}

// TestMySQLShowsDocuments: in MariaDB only a check is left of a column's being
// JSON, and only in the table.
func TestMySQLShowsDocuments(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.MariaDB(t).URL(), Init: []string{
		`CREATE TABLE t (id int PRIMARY KEY, doc json, text longtext)`, `CREATE TABLE u (id int PRIMARY KEY, doc longtext)`,
		`INSERT INTO t VALUES (1, '{"a": 1}', '{}')`, `INSERT INTO u VALUES (1, '[1]')`}})
	f := func(list, want string) {
		t.Helper()
		r := records(t, db, byID("SELECT "+list+" WHERE {id} = 1"))
		if got := load(t, r, int64(1)); got != want {
			t.Errorf("%s: got %s, want %s", list, got, want)
		}
	}
	f("* FROM t", `{"id":1,"doc":{"a":1},"text":"{}"}`)
	f("doc AS text, text AS doc FROM t", `{"text":{"a":1},"doc":"{}"}`)
	f("x.doc, u.doc AS other FROM t AS x JOIN u ON u.id = x.id", `{"doc":{"a":1},"other":"[1]"}`)
	f("u.doc d, t.doc e FROM u, `t`", `{"d":"[1]","e":{"a":1}}`)
	f("doc AS json FROM t", `{"a":1}`)
}

// TestAlteredColumns: the types that an upsert binds by are remembered, and a
// column may become another one.
func TestAlteredColumns(t *testing.T) {
	pg, maria := testkit.Postgres(t), testkit.MariaDB(t)
	f := func(name, url string, exec func(string), hex func() string, alters [3]string, upsert string) {
		exec(`CREATE TABLE t (id int PRIMARY KEY, data text)`)
		r := records(t, open(t, engine.Config{URL: url, MaxConns: 1}), writable(`SELECT data FROM t WHERE id = {id}`, upsert))
		put := func(data, want string) {
			t.Helper()
			body := `{"data":` + data + `}`
			if got := put(t, r, body, int64(1)); got != body {
				t.Errorf("%s: PUT of %s answers %s", name, body, got)
			}
			if got := strings.ToLower(hex()); got != want {
				t.Errorf("%s: PUT of %s stores %s, want %s", name, body, got, want)
			}
		}
		put(`"abcd"`, "61626364")
		exec(alters[0])
		put(`"abcd"`, "69b71d")
		exec(alters[1])
		put(`"no base64"`, "6e6f20626173653634")
		exec(alters[2])
		put(`5`, "35")
	}
	f("PostgreSQL", pg.URL(), pg.Exec, func() string {
		return pg.Text("SELECT encode(CASE WHEN data::text LIKE '\\\\x%' THEN data::text::bytea ELSE convert_to(data::text, 'UTF8') END, 'hex') FROM t")
	}, [3]string{
		`DELETE FROM t; ALTER TABLE t ALTER data TYPE bytea USING data::bytea`,
		`ALTER TABLE t ALTER data TYPE varchar USING 'x'`, `ALTER TABLE t ALTER data TYPE integer USING 1`,
	}, `INSERT INTO t VALUES ({id}, {body.data}) ON CONFLICT (id) DO UPDATE SET data = excluded.data`)
	f("MariaDB", maria.URL(), maria.Exec, func() string { return maria.Text("SELECT HEX(CAST(data AS BINARY)) FROM t") }, [3]string{
		`ALTER TABLE t MODIFY data blob`, `UPDATE t SET data = ''; ALTER TABLE t MODIFY data varchar(20)`, `UPDATE t SET data = '1'; ALTER TABLE t MODIFY data int`,
	}, `REPLACE INTO t VALUES ({id}, {body.data})`)
}

func TestUnknownMembers(t *testing.T) {
	for name, url := range map[string]string{
		"SQLite": "sqlite::memory:", "PostgreSQL": testkit.Postgres(t).URL(), "MariaDB": testkit.MariaDB(t).URL(),
	} {
		t.Run(name, func(t *testing.T) {
			conflict := "ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, zip = excluded.zip"
			if name == "MariaDB" {
				conflict = "ON DUPLICATE KEY UPDATE name = VALUES(name), city = VALUES(city), zip = VALUES(zip)"
			}
			db := open(t, engine.Config{URL: url, Init: []string{
				`CREATE TABLE t (id integer PRIMARY KEY, name varchar(20), city varchar(20), zip varchar(9), seen integer DEFAULT 7)`}})
			upsert := `INSERT INTO t (id, name, city, zip) VALUES ({id}, {body.name}, {body.city?}, {body.home.zip?}) ` + conflict
			r := records(t, db, writable(`SELECT * FROM t WHERE id = {id}`, upsert))
			refused(t, r, `{"name":"a","ctiy":"b"}`, "ctiy", `did you mean "city"?`)
			refused(t, r, `{"name":"a","City":"b"}`, "City", `did you mean "city"?`)
			refused(t, r, `{"nmae":"a"}`, "name", `the body has "nmae"`)
			refused(t, r, `{"name":"a","x":1,"y":2}`, "x", `as is "y"`)
			refused(t, r, `{"name":"a","home":{"zpi":"1"}}`, "home.zpi", `did you mean "home.zip"?`)
			want := `{"id":1,"name":"a","city":null,"zip":"1","seen":7}`
			if got := put(t, r, `{"id":1,"name":"a","zip":"9","seen":8,"home":{"zip":"1"}}`, int64(1)); got != want {
				t.Errorf("members that a read shows: got %s, want %s", got, want)
			}
			object := map[string]string{"SQLite": "json_object('name', name, 'more', seen)", "PostgreSQL": "json_build_object('name', name, 'more', seen)",
				"MariaDB": "json_object('name', name, 'more', seen)"}[name]
			r = records(t, db, writable(`SELECT `+object+` AS json FROM t WHERE id = {id}`, upsert))
			if got, want := put(t, r, `{"name":"b","more":1}`, int64(1)), `{"name":"b","more":7}`; strings.ReplaceAll(got, " ", "") != want {
				t.Errorf("a document: got %s, want %s", got, want)
			}
			refused(t, r, `{"name":"c","moer":1}`, "moer", "is unknown")
			if got := strings.ReplaceAll(load(t, r, int64(1)), " ", ""); got != `{"name":"b","more":7}` {
				t.Errorf("what was refused is stored: %s", got)
			}
			r = records(t, db, writable(`SELECT name FROM t WHERE id = {id}`, strings.Replace(upsert, "{body.name}", "{body}", 1)))
			if got, want := put(t, r, `{"x": 1}`, int64(1)), `{"name":"{\"x\": 1}"}`; got != want {
				t.Errorf("a body taken whole: got %s, want %s", got, want)
			}
		})
	}
}

// TestFaultsThatNameWhatTheyCan: several members are at fault, or none is known.
func TestFaultsThatNameWhatTheyCan(t *testing.T) {
	for name, url := range map[string]string{
		"SQLite": "sqlite::memory:", "PostgreSQL": testkit.Postgres(t).URL(), "MariaDB": testkit.MariaDB(t).URL(),
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, engine.Config{URL: url, Init: []string{
				`CREATE TABLE t (id integer PRIMARY KEY, low integer, high integer, a integer, b integer, day date, CONSTRAINT ordered CHECK (low <= high), UNIQUE (a, b))`,
				`INSERT INTO t VALUES (2, 1, 1, 1, 1, NULL)`}})
			r := records(t, db, writable(`SELECT low, high, a, b FROM t WHERE id = {id}`, `INSERT INTO t VALUES ({id}, {body.low?}, {body.high?}, {body.pair.a?}, {body.pair.b?}, NULL)`))
			refused(t, r, `{"low":2,"high":1}`, "", `a value is not allowed: the members "low", "high"`)
			refused(t, r, `{"pair":{"a":1,"b":1}}`, "", `a value that has to be unique is taken already: the members "pair.a", "pair.b"`)
			put(t, r, `{"low":1}`, int64(1))
			refused(t, r, `{"low":1}`, "", "a value that has to be unique is taken already") // the path's own
		})
	}
}

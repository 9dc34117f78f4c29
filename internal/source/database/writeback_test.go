package database_test

import (
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// TestWhatIsReadIsWrittenBack by statements in which no column is to be seen that
// takes a member, bare and as the whole answer to a read.
func TestWhatIsReadIsWrittenBack(t *testing.T) {
	f := func(name, url, want, upsert string, init ...string) {
		t.Run(name, func(t *testing.T) {
			db := open(t, engine.Config{URL: url, MaxConns: 2, Timeout: 20 * time.Second, Init: init})
			spec := byID(`SELECT id, data, doc FROM kept WHERE id = {id}`)
			spec.Upsert, spec.Envelope = upsert, "kept"
			r := records(t, db, spec)
			if got := load(t, r, int64(1)); got != want {
				t.Fatalf("the record is %s, want %s", got, want)
			}
			for _, body := range []string{want, `{"kept":` + want + `,"source":"cache"}`} {
				c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(body))
				if err == nil {
					err = c.Commit(t.Context())
				}
				if got := load(t, r, int64(1)); err != nil || got != want {
					t.Errorf("%s: %v, and the record is %s", body, err, got)
				}
			}
		})
	}
	const want = `{"id":1,"data":"AP+A","doc":"x"}`
	const lite = `CREATE TABLE kept (id INTEGER PRIMARY KEY, data BLOB, doc JSON)`
	const liteRow = `INSERT INTO kept VALUES (1, x'00ff80', '"x"')`
	f("SQLite, WITH", sqliteURL(t), want, `WITH n AS (SELECT {id} AS id, {body.data} AS data, {body.doc} AS doc)
		INSERT INTO kept SELECT * FROM n WHERE true ON CONFLICT (id) DO UPDATE SET data = excluded.data, doc = excluded.doc`, lite, liteRow)
	f("SQLite, a view", sqliteURL(t), want, `INSERT INTO seen VALUES ({id}, {body.data}, {body.doc})`, lite, liteRow,
		`CREATE VIEW seen AS SELECT * FROM kept`,
		`CREATE TRIGGER write INSTEAD OF INSERT ON seen BEGIN UPDATE kept SET data = new.data, doc = new.doc WHERE id = new.id; END`)
	maria := testkit.MariaDB(t).URL()
	table := []string{`DROP TABLE IF EXISTS kept`, `CREATE TABLE kept (id int PRIMARY KEY, data blob, doc json)`, `INSERT INTO kept VALUES (1, x'00ff80', '"x"')`}
	f("MariaDB, a derived table", maria, want, `INSERT INTO kept SELECT * FROM (SELECT {id} AS id, {body.data} AS data, {body.doc} AS doc) AS n
		ON DUPLICATE KEY UPDATE data = n.data, doc = n.doc`, table...)
	const cases = `UPDATE kept SET data = CASE WHEN {body.data?} IS NULL THEN data WHEN (CASE WHEN 1 = 2 THEN 1 END) IS NULL THEN {body.data?} END,
		doc = CASE WHEN {body.doc?} IS NULL THEN doc ELSE COALESCE({body.doc?}, doc) END WHERE id = {id}`
	f("SQLite, CASE", sqliteURL(t), want, cases, lite, liteRow)
	f("MariaDB, CASE", maria, want, cases, table...)
}

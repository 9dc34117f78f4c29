package database_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// noting is a database whose triggers tell who has written, and whose one connection fails
// the first attempt to write the record 7.
type noting struct {
	db      *testkit.Database
	url     string
	trigger []string
	upsert  string
}

// TestTransactionsNoteTheirWriter, also those that are done again, and no other's.
func TestTransactionsNoteTheirWriter(t *testing.T) {
	t.Parallel()
	const log = `CREATE TABLE log (id integer, n integer, writer text)`
	const postgresUpsert = `INSERT INTO t (id, n) VALUES ({id}, {body.n}) ON CONFLICT (id) DO UPDATE SET n = excluded.n`
	postgresTrigger := []string{log, `CREATE TABLE t (id integer PRIMARY KEY, n integer)`, `CREATE SEQUENCE attempts`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO log VALUES (coalesce(NEW.id, OLD.id), NEW.n, nullif(current_setting('hearth.writer', true), ''));
			IF NEW.id = 7 AND nextval('attempts') = 1 THEN RAISE 'once' USING ERRCODE = '40001'; END IF;
			RETURN NULL; END $$`,
		`CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note()`,
		// What a deferred trigger changes is not in the record that was read back.
		`CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.id; RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER defer AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 9) EXECUTE FUNCTION defer()`,
	}
	pg, pooled, maria := testkit.Postgres(t), testkit.Postgres(t), testkit.MariaDB(t)
	for name, n := range map[string]noting{
		"PostgreSQL": {pg, pg.URL(), postgresTrigger, postgresUpsert},
		"PgBouncer":  {pooled, testkit.PgBouncer(t, pooled, "transaction").Of(pooled), postgresTrigger, postgresUpsert},
		"MariaDB": {maria, maria.URL(), []string{log, `CREATE TABLE t (id integer PRIMARY KEY, n integer)`,
			`CREATE TABLE attempts (n integer) ENGINE = MyISAM`, `INSERT INTO attempts VALUES (0)`,
			"DELIMITER //\n" + `CREATE TRIGGER t_insert AFTER INSERT ON t FOR EACH ROW BEGIN
				INSERT INTO log VALUES (NEW.id, NEW.n, @hearth_writer);
				IF NEW.id = 7 THEN
					UPDATE attempts SET n = n + 1;
					IF (SELECT n FROM attempts) = 1 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF;
				END IF; END//`,
			`CREATE TRIGGER t_update AFTER UPDATE ON t FOR EACH ROW INSERT INTO log VALUES (NEW.id, NEW.n, @hearth_writer)`,
			`CREATE TRIGGER t_delete AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES (OLD.id, NULL, @hearth_writer)`,
		}, `INSERT INTO t (id, n) VALUES ({id}, {body.n}) ON DUPLICATE KEY UPDATE n = VALUES(n)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n.db = n.db.For(t)
			for _, text := range n.trigger {
				n.db.Exec(text)
			}
			n.test(t)
		})
	}
}

func (n noting) test(t *testing.T) {
	spec := byID(`SELECT id, n FROM t WHERE id = {id}`)
	spec.Upsert, spec.Delete = n.upsert, `DELETE FROM t WHERE id = {id}`
	records := func(marks bool) source.Records {
		return records(t, open(t, engine.Config{URL: n.url, MaxConns: 1, MarkWriter: marks}), spec)
	}
	r := records(true)
	told := func(what, want string) {
		t.Helper()
		var got []string
		for _, row := range n.db.Query(`SELECT coalesce(writer, '-') FROM log ORDER BY n, writer`) {
			got = append(got, row[0])
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: the triggers saw %q, want %q", what, text, want)
		}
		n.db.Exec(`DELETE FROM log`)
	}
	write := func(r source.Records, token string, id int64, condition source.Condition) (source.Change, error) {
		ctx := source.WithWriter(t.Context(), token)
		if condition != nil {
			ctx = condition.In(ctx)
		}
		c, err := r.Put(ctx, source.Args{id}, bodyOf(`{"n":1}`))
		if err == nil {
			err = c.Commit(context.WithoutCancel(ctx))
		}
		if err != nil {
			return nil, err
		}
		if got, want := c.(source.Marked).Marked(), token != "" && r != nil; got != want {
			t.Errorf("marked: %v, want %v", got, want)
		}
		return c, nil
	}
	must := func(_ source.Change, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(write(r, "a1", 1, nil))
	told("a write", "a1")
	must(write(r, "", 2, nil))
	told("a write of nobody, on the same connection", "-")
	must(write(r, "c3", 7, nil))
	told("one that is done again", "c3")
	must(write(r, "d4", 3, func([]byte) string { return "" }))
	told("one with a condition", "d4")
	if _, err := write(r, "e5", 1, func([]byte) string { return "no" }); !errors.As(err, new(*source.ConditionError)) {
		t.Errorf("a condition that fails: %v", err)
	}
	must(write(r, "", 2, func([]byte) string { return "" }))
	told("a write of nobody after one that was refused", "-")
	c, err := r.Put(source.WithWriter(t.Context(), "f6"), source.Args{int64(1)}, bodyOf(`{"n":5}`))
	must(c, err)
	c.Rollback()
	must(write(r, "", 2, nil))
	told("and after one that was rolled back", "-")
	if c, err = r.Delete(source.WithWriter(t.Context(), "g7"), source.Args{int64(1)}); err == nil {
		err = c.Commit(t.Context())
	}
	must(c, err)
	told("a deletion", "g7")
	must(write(r, "i9", 9, nil))
	if !strings.HasPrefix(n.url, "mysql") {
		told("one with a deferred trigger", "i9 -")
	} else {
		told("MySQL has none", "i9")
	}
	if c, err = records(false).Put(source.WithWriter(t.Context(), "j0"), source.Args{int64(4)}, bodyOf(`{"n":1}`)); err == nil {
		err = c.Commit(t.Context())
	}
	if must(c, err); c.(source.Marked).Marked() {
		t.Error("without MarkWriter a change says that it is marked")
	}
	told("without MarkWriter", "-")
	var quoted source.Change
	quoted, err = r.Put(source.WithWriter(t.Context(), "k'1"), source.Args{int64(5)}, bodyOf(`{"n":1}`))
	if must(quoted, err); quoted.(source.Marked).Marked() {
		t.Error("a token that is none is noted")
	}
	quoted.Rollback()
}

// TestSQLiteHasNoPlaceForAWriter.
func TestSQLiteHasNoPlaceForAWriter(t *testing.T) {
	t.Parallel()
	db := open(t, engine.Config{URL: sqliteURL(t), MarkWriter: true, Init: []string{`CREATE TABLE IF NOT EXISTS t (id integer PRIMARY KEY, n integer)`}})
	spec := database.Spec{Name: "r", Params: byID("").Params, Select: `SELECT id, n FROM t WHERE id = {id}`, Upsert: `INSERT OR REPLACE INTO t (id, n) VALUES ({id}, {body.n})`}
	c, err := records(t, db, spec).Put(source.WithWriter(t.Context(), "a1"), source.Args{int64(1)}, bodyOf(`{"n":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.(source.Marked).Marked() {
		t.Error("a change says that it is marked")
	}
	c.Rollback()
}

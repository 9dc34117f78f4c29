package database_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// session is a connection of another program.
func session(t *testing.T, pg *testkit.Database) func(sql string) error {
	conn, err := pgx.Connect(t.Context(), pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return func(sql string) error {
		_, err := conn.Exec(t.Context(), sql)
		return err
	}
}

// TestPostgresAltersUnderWrites alters a table's columns, so that each connection
// has plans that hold no more, while others read, write and delete.
func TestPostgresAltersUnderWrites(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "exec"} {
		t.Run(mode, func(t *testing.T) { testAltersUnderWrites(t, "&default_query_exec_mode="+mode) })
	}
}

func testAltersUnderWrites(t *testing.T, setting string) {
	pg := testkit.Postgres(t)
	db := open(t, engine.Config{URL: pg.URL() + setting, MaxConns: 4, Timeout: 30 * time.Second, Init: []string{
		`CREATE TABLE IF NOT EXISTS t (id integer PRIMARY KEY, n integer, s text)`}})
	spec := byID(`SELECT * FROM t WHERE id = {id}`)
	spec.SelectMany = `SELECT * FROM t WHERE id IN ({id})`
	spec.Upsert = `INSERT INTO t (id, n, s) VALUES ({id}, {body.n}, 's') ON CONFLICT (id) DO UPDATE SET n = excluded.n`
	spec.Delete = `DELETE FROM t WHERE id = {id}`
	r := records(t, db, spec)
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	alter := session(t, pg)
	var rounds [4]atomic.Int64
	done := make(chan struct{})
	var working sync.WaitGroup
	for worker := range rounds {
		working.Go(func() {
			for id := int64(worker); ; {
				select {
				case <-done:
					return
				default:
				}
				c, err := r.Put(t.Context(), source.Args{id}, bodyOf(`{"n":1}`))
				if err == nil {
					err = c.Commit(t.Context())
				}
				if err != nil {
					t.Errorf("Put: %v", err)
				}
				if _, err := r.Load(t.Context(), source.Args{id}); err != nil && !errors.Is(err, source.ErrNoRecord) { // the table may be a new one
					t.Errorf("Load: %v", err)
				}
				if _, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{id}, {id + 1}}); err != nil {
					t.Errorf("LoadMany: %v", err)
				}
				if c, err = r.Delete(t.Context(), source.Args{id}); err == nil {
					err = c.Commit(t.Context())
				}
				if err != nil && !errors.Is(err, source.ErrNoRecord) {
					t.Errorf("Delete: %v", err)
				}
				rounds[worker].Add(1)
			}
		})
	}
	for i := range 4 {
		for _, ddl := range []string{
			fmt.Sprintf(`ALTER TABLE t ADD COLUMN x%d integer`, i),
			`ALTER TABLE t ALTER COLUMN n TYPE bigint`, fmt.Sprintf(`ALTER TABLE t DROP COLUMN x%d`, i), `ALTER TABLE t ALTER COLUMN n TYPE integer`,
			`BEGIN; DROP TABLE t; CREATE TABLE t (s text, id integer PRIMARY KEY, n integer); COMMIT`,
		} {
			if err := alter(ddl); err != nil && !strings.Contains(err.Error(), "40P01") {
				t.Errorf("%s: %v", ddl, err)
			}
			// Each statement gets one second attempt: a table that changes again
			// before that is made is another matter.
			for worker := range rounds {
				before := rounds[worker].Load()
				testkit.Eventually(t, time.Minute, "each worker has met the change", func() bool { return rounds[worker].Load() > before+1 })
			}
		}
	}
	close(done)
	working.Wait()
}

// TestPostgresKilledSessions has somebody end sessions at each step of a write.
func TestPostgresKilledSessions(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	r := renamed(t, open(t, engine.Config{URL: pg.URL(), Demo: true, MaxConns: 4}))
	kill := func() {
		pg.Exec(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	}
	for i := range 3 { // all of the pool's connections die at once
		all := make([]source.Change, 3)
		for id := range all {
			all[id] = rename(t, r, int64(id+1), "before")
		}
		for _, c := range all {
			c.Rollback()
		}
		kill()
		c := rename(t, r, 1, fmt.Sprint(i)) // over one that had died in the pool
		kill()
		if err := c.Commit(t.Context()); err != nil {
			t.Errorf("Commit: got %v, want it to be done once more", err)
		}
		kill()
		if got := load(t, r, int64(1)); got != fmt.Sprintf(`{"name":"%d"}`, i) {
			t.Errorf("Load: got %s", got)
		}
	}
}

// TestPostgresConflicts meets what other transactions are the reason of.
func TestPostgresConflicts(t *testing.T) {
	pg := testkit.Postgres(t)
	db := open(t, engine.Config{URL: pg.URL() + "&lock_timeout=50", Demo: true})
	spec := byID(`SELECT name FROM users WHERE id = {id} FOR UPDATE NOWAIT`)
	spec.Upsert = `UPDATE users SET name = {body.name} WHERE id = {id}`
	spec.Delete = `DELETE FROM users WHERE id = {id}`
	r := records(t, db, spec)
	load(t, r, int64(1))
	other := session(t, pg)
	if err := other(`BEGIN; UPDATE users SET name = 'x' WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	f := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, source.ErrFault) || errors.Is(err, source.ErrDown) || errors.Is(err, source.ErrSlow) {
			t.Errorf("%s of a locked row: got %v, want an error that is neither an outage's nor the operator's", what, err)
		}
	}
	_, err := r.Load(t.Context(), source.Args{int64(1)})
	f("Load", err)
	_, err = r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"y"}`))
	f("Put", err)
	_, err = r.Delete(t.Context(), source.Args{int64(1)})
	f("Delete", err)
}

// TestPostgresRepeats refuses the first attempts by a sequence, which no rollback
// takes back.
func TestPostgresRepeats(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE SEQUENCE tries; CREATE SEQUENCE ends;
		CREATE FUNCTION refuse(code text, counted regclass, times int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
			IF nextval(counted) <= times THEN RAISE EXCEPTION 'refused' USING ERRCODE = code; END IF; RETURN 1; END $$;
		CREATE TABLE t (id integer PRIMARY KEY, n integer)`)
	db := open(t, engine.Config{URL: pg.URL()})
	f := func(code string, times int, want error) {
		t.Helper()
		spec := byID(`SELECT n FROM t WHERE id = {id}`)
		spec.Upsert = fmt.Sprintf(`INSERT INTO t VALUES ({id}, refuse('%s', 'tries', %d)) ON CONFLICT (id) DO UPDATE SET n = excluded.n`, code, times)
		pg.Exec(`SELECT setval('tries', 1, false)`)
		c, err := records(t, db, spec).Put(t.Context(), source.Args{int64(1)}, bodyOf(`{}`))
		if err == nil {
			err = c.Commit(t.Context())
		}
		if tried := pg.Int(`SELECT last_value FROM tries`); !errors.Is(err, want) || (want == nil) != (err == nil) || tried > 3 {
			t.Errorf("%s raised %d times: got %v after %d attempts, want %v", code, times, err, tried, want)
		}
		spec.Select = fmt.Sprintf(`SELECT refuse('%s', 'tries', %d) AS n`, code, times)
		spec.Select += ` WHERE {id} = 1`
		pg.Exec(`SELECT setval('tries', 1, false)`)
		_, err = records(t, db, spec).Load(t.Context(), source.Args{int64(1)})
		if tried := pg.Int(`SELECT last_value FROM tries`); !errors.Is(err, want) || (want == nil) != (err == nil) || tried > 3 {
			t.Errorf("Load, %s raised %d times: got %v after %d attempts, want %v", code, times, err, tried, want)
		}
	}
	for _, code := range []string{"40001", "40P01", "55P03", "0A000", "42883", "26000", "42804", "42703", "25006"} {
		if code != "0A000" { // only what speaks of a cached plan
			f(code, 1, nil)
		}
	}
	for _, code := range []string{"40001", "40P01", "55P03"} { // others may be in the way twice
		f(code, 2, nil)
	}
	f("42883", 9, source.ErrFault)
	f("42501", 9, source.ErrFault)
	f("42501", 1, source.ErrFault)
	f("57014", 1, source.ErrSlow)
}

// TestPostgresSerialises has COMMIT itself refuse: SERIALIZABLE tells some
// conflicts only then.
func TestPostgresSerialises(t *testing.T) {
	pg := testkit.Postgres(t)
	db := open(t, engine.Config{URL: pg.URL() + "&default_transaction_isolation=serializable", Demo: true})
	spec := byID(`SELECT (SELECT count(*) FROM users WHERE city = 'x') AS n FROM users WHERE id = {id}`)
	spec.Upsert = `UPDATE users SET city = 'x' WHERE id = {id}`
	r := records(t, db, spec)
	first, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Put(t.Context(), source.Args{int64(2)}, bodyOf(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Commit(t.Context()); err != nil || string(second.Record()) != `{"n":2}` {
		t.Errorf("Commit of two that cannot be serialised: got %v and the record %s, want the one of a second attempt", err, second.Record())
	}
}

// TestFaultsAreTheOperators asks for what no database grants.
func testFaults(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema[:2:2], `INSERT INTO people (id, name) VALUES (1, 'a')`)})
	spec := func(change func(*database.Spec)) source.Records {
		s := person()
		s.SelectMany = `SELECT id, name FROM people WHERE id IN ({id})`
		change(&s)
		return records(t, db, s)
	}
	f := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, source.ErrFault) || errors.Is(err, source.ErrDown) {
			t.Errorf("%s: got %v, want ErrFault and not ErrDown", what, err)
		}
	}
	one := source.Args{int64(1)}
	for _, text := range []string{
		`SELECT nothing FROM people WHERE id = {id}`, `SELECT id FROM nowhere WHERE id = {id}`, `SELEKT id FROM people WHERE id = {id}`,
		`SELECT id, id FROM people WHERE id = {id}`, `SELECT no_function(id) FROM people WHERE id = {id}`,
	} {
		r := spec(func(s *database.Spec) { s.Select = text })
		_, err := r.Load(t.Context(), one)
		f(text, err)
		_, err = r.Put(t.Context(), one, bodyOf(`{"name":"b"}`))
		f("Put, then "+text, err)
	}
	_, err := spec(func(s *database.Spec) { s.Upsert = `INSERT INTO people (id, name) VALUES ({id})` }).Put(t.Context(), one, bodyOf(`{}`))
	f("too few values", err)
	_, err = spec(func(s *database.Spec) { s.Delete = `DELETE FROM nowhere WHERE id = {id}` }).Delete(t.Context(), one)
	f("a delete from a missing table", err)
	many := spec(func(s *database.Spec) { s.SelectMany = `SELECT name FROM people WHERE id IN ({id})` }).(source.ManyRecords)
	_, err = many.LoadMany(t.Context(), []source.Args{one})
	f("a select_many that is unlike its select", err)
	if !db.Up() {
		t.Error("Up() is false after the operator's mistakes")
	}
	if got := load(t, spec(func(*database.Spec) {}), int64(1)); !strings.Contains(got, `"name":"a"`) {
		t.Errorf("a good statement beside them: got %s", got)
	}
}

func TestSQLiteFaults(t *testing.T) {
	testFaults(t, func(tb testing.TB) string { return "sqlite:" + filepath.Join(tb.TempDir(), "x.db") })
}

func TestPostgreSQLFaults(t *testing.T) {
	testFaults(t, func(tb testing.TB) string { return testkit.Postgres(tb).URL() })
}

func TestMariaDBFaults(t *testing.T) {
	testFaults(t, func(tb testing.TB) string { return testkit.MariaDB(tb).URL() })
}

var mariaUser = database.Spec{
	Name: "user", Params: []param.Param{{Name: "id", Type: "int"}},
	Select: `SELECT name FROM users WHERE id = {id}`, Upsert: `UPDATE users SET name = {body.name} WHERE id = {id}`,
}

// TestMariaDBRepeats has writes wait for each other in a circle, and a lock that
// nobody gives.
func TestMariaDBRepeats(t *testing.T) {
	t.Parallel()
	maria := testkit.MariaDB(t)
	db := open(t, engine.Config{URL: maria.URL() + "?innodb_lock_wait_timeout=1", Demo: true, Timeout: 20 * time.Second})
	r := records(t, db, mariaUser)
	load(t, r, int64(1))
	holder := rename(t, r, 1, "a")
	if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"b"}`)); whose(err) != "call" || errors.Is(err, source.ErrFault) {
		t.Errorf("Put of a locked row: got %v, want an error that is neither an outage's nor the operator's", err)
	}
	holder.Rollback()
	spec := database.Spec{Name: "two", Params: []param.Param{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}},
		Select: `SELECT id FROM users WHERE id = {b} AND {a} > 0 FOR UPDATE`, Upsert: `UPDATE users SET name = {body.name} WHERE id = {a} AND {b} > 0`}
	two := records(t, db, spec)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 20 {
				args := source.Args{int64(1), int64(2)}
				if worker%2 == 1 {
					args[0], args[1] = args[1], args[0]
				}
				c, err := two.Put(t.Context(), args, bodyOf(fmt.Sprintf(`{"name":"%d %d"}`, worker, i)))
				if err == nil {
					err = c.Commit(t.Context())
				}
				if err != nil && (errors.Is(err, source.ErrFault) || errors.Is(err, source.ErrDown)) {
					t.Errorf("Put: got %v, want a second attempt, or at least an error that is neither an outage's nor the operator's", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestMariaDBKilledSessions ends sessions in the pool, and within a transaction.
func TestMariaDBKilledSessions(t *testing.T) {
	maria := testkit.MariaDB(t)
	db := open(t, engine.Config{URL: maria.URL(), Demo: true, MaxConns: 3})
	r := records(t, db, mariaUser)
	load(t, r, int64(1))
	kill := func() {
		for _, row := range maria.Query(`SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()`) {
			maria.Exec("KILL " + row[0])
		}
	}
	for i := range 3 { // all of the pool's connections die at once
		crowd(t, r, 3)
		kill()
		name := fmt.Sprint(i)
		c := rename(t, r, 1, name) // over one that had died in the pool
		kill()
		if err := c.Commit(t.Context()); err != nil {
			t.Errorf("Commit over a session that was ended: got %v", err)
		}
		kill()
		if got := load(t, r, int64(1)); got != `{"name":"`+name+`"}` {
			t.Errorf("Load: got %s", got)
		}
	}
}

// TestMariaDBAltersUnderLoad: each connection has its own idea of the table.
func TestMariaDBAltersUnderLoad(t *testing.T) {
	maria := testkit.MariaDB(t)
	db := open(t, engine.Config{URL: maria.URL(), MaxConns: 4, Timeout: 30 * time.Second, Demo: true})
	spec := byID(`SELECT * FROM users WHERE id = {id}`)
	spec.SelectMany = `SELECT * FROM users WHERE id IN ({id})`
	spec.Upsert = `UPDATE users SET name = {body.name} WHERE id = {id}`
	r := records(t, db, spec)
	load(t, r, int64(1))
	done := make(chan struct{})
	var working sync.WaitGroup
	for worker := range 3 {
		working.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				id := int64(worker + 1)
				c, err := r.Put(t.Context(), source.Args{id}, bodyOf(fmt.Sprintf(`{"name":"%d"}`, i)))
				if err == nil {
					err = c.Commit(t.Context())
				}
				if err != nil {
					t.Errorf("Put: %v", err)
				}
				if _, err := r.Load(t.Context(), source.Args{id}); err != nil {
					t.Errorf("Load: %v", err)
				}
				if _, err := r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{id}, {id + 1}}); err != nil {
					t.Errorf("LoadMany: %v", err)
				}
			}
		})
	}
	for i := range 6 {
		maria.Exec(fmt.Sprintf("ALTER TABLE users ADD COLUMN x%d integer", i))
		maria.Exec(fmt.Sprintf("ALTER TABLE users DROP COLUMN x%d, FORCE", i))
		maria.Exec("CREATE TABLE other LIKE users; INSERT INTO other SELECT * FROM users; RENAME TABLE users TO old, other TO users; DROP TABLE old")
	}
	close(done)
	working.Wait()
}

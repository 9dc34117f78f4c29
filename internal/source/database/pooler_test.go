package database_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// TestRecordsThroughPgBouncer holds a pooler that hands sessions on to what PostgreSQL
// itself is held to; the long form to all of it.
func TestRecordsThroughPgBouncer(t *testing.T) {
	t.Parallel()
	pooler := testkit.PgBouncer(t, testkit.Postgres(t), "transaction")
	short := []string{"put", "many", "failing init", "racing set-up", "over"}
	for name, f := range recordTests {
		if testkit.Long() || slices.Contains(short, name) {
			t.Run(name, func(t *testing.T) {
				f(t, func(tb testing.TB) string { return pooler.Of(testkit.Postgres(tb)) })
			})
		}
	}
}

// TestTypesThroughPgBouncer: values are as exact in the mode of execution that a pooler
// needs.
func TestTypesThroughPgBouncer(t *testing.T) {
	t.Parallel()
	through := postgresTypes
	through.open = func(t *testing.T) string { return testkit.PgBouncer(t, testkit.Postgres(t), "transaction").URL() }
	testTypes(t, through)
}

// setUps are statements of init of all kinds: some stand in no transaction, some make
// their own, and some are no harm only while no other set-up runs between them.
var setUps = []string{
	`CREATE TABLE IF NOT EXISTS a (b integer)`,
	`CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)`,
	`BEGIN; CREATE TABLE IF NOT EXISTS c (d integer); COMMIT`,
	`DROP VIEW IF EXISTS v`, `CREATE VIEW v AS SELECT * FROM a`,
}

// TestPgBouncerSetUp starts several at once and three in a row, with many sessions and with
// one, and finds no lock that stays behind.
func TestPgBouncerSetUp(t *testing.T) {
	if !testkit.Long() {
		return // TestRecordsThroughPgBouncer sets up through one, too
	}
	t.Parallel()
	pg := testkit.Postgres(t)
	for _, size := range []int{5, 1} {
		url := testkit.PgBouncer(t, pg, "transaction", fmt.Sprintf("default_pool_size = %d", size)).URL()
		start := func(t *testing.T) {
			db := open(t, engine.Config{URL: url, Init: setUps, Demo: true, Timeout: 20 * time.Second})
			if err := db.Ping(t.Context()); err != nil || db.InitRefusal() != nil {
				t.Errorf("%d sessions: Ping: got %v, refused %v", size, err, db.InitRefusal())
			}
			if want := "through a pooler of connections"; !strings.HasPrefix(db.Way(), want) {
				t.Errorf("%d sessions: Way: got %q, want %q", size, db.Way(), want)
			}
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { start(t) })
		}
		wg.Wait()
		for range 3 {
			start(t)
		}
		if n := pg.Int(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); n != 0 {
			t.Errorf("%d sessions: %d advisory locks stay behind", size, n)
		}
		if got := pg.Text(`SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_b'::regclass`); got != "t" {
			t.Errorf("%d sessions: the index is valid: %s", size, got)
		}
		pg.Exec(`DROP VIEW v; DROP TABLE a, c, users`)
	}
}

// TestPgBouncerManyClients reads and writes over more connections than there are sessions,
// while another client keeps statements of the same names prepared in those.
func TestPgBouncerManyClients(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pooler := testkit.PgBouncer(t, pg, "transaction", "default_pool_size = 2")
	spec := func(db *database.DB) source.Records {
		return records(t, db, database.Spec{
			Name: "user", Params: []param.Param{{Name: "id", Type: "int"}},
			Select: `SELECT name FROM users WHERE id = {id}`, Upsert: `UPDATE users SET name = {body.name} WHERE id = {id}`,
		})
	}
	other := spec(open(t, engine.Config{URL: pooler.URL() + "&default_query_exec_mode=cache_statement", Demo: true, Timeout: time.Minute}))
	for range 4 {
		_, _ = other.Load(t.Context(), source.Args{int64(1)})
	}
	r := spec(open(t, engine.Config{URL: pooler.URL(), Timeout: time.Minute}))
	var wg sync.WaitGroup
	for i := range int64(100) {
		wg.Go(func() {
			body := fmt.Sprintf(`{"name":"n%d"}`, i)
			if got, err := tryPut(t, r, body, i+1); err != nil || got != body {
				t.Errorf("Put of record %d: got %s, %v", i+1, got, err)
			}
			if got, err := r.Load(t.Context(), source.Args{i + 1}); err != nil || string(got) != body {
				t.Errorf("Load of record %d: got %s, %v", i+1, got, err)
			}
		})
	}
	wg.Wait()
}

// TestPgBouncerSays has PgBouncer answer by itself, and looks whom that blames.
func TestPgBouncerSays(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pg.Exec(`CREATE TABLE users (id integer PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'x')`)
	load := func(url string) (*database.DB, error) {
		db := open(t, engine.Config{URL: url, MaxConns: 4, Timeout: time.Minute})
		_, err := renamed(t, db).Load(t.Context(), source.Args{int64(1)})
		return db, err
	}
	pooler := testkit.PgBouncer(t, pg, "transaction")
	for _, url := range []string{pooler.URL() + "&statement_timeout=1000", strings.Replace(pooler.URL(), "postgres@", "nobody@", 1)} {
		if _, err := load(url); !errors.Is(err, source.ErrDown) || !database.RefusesAccess(err) {
			t.Errorf("%s: got %v, want that access is refused", url, err)
		}
	}

	statement := testkit.PgBouncer(t, pg, "statement")
	db, err := load(statement.URL())
	if err != nil {
		t.Errorf("pool_mode=statement: Load: %v", err)
	}
	if _, err := tryPut(t, renamed(t, db), `{"name":"y"}`, int64(1)); !errors.Is(err, source.ErrFault) || errors.Is(err, source.ErrDown) {
		t.Errorf("pool_mode=statement: Put: got %v, want the operator's fault", err)
	}
	db = open(t, engine.Config{URL: statement.URL(), Demo: true, Timeout: time.Minute})
	if err := db.Ping(t.Context()); err != nil || db.InitRefusal() == nil || db.InitRefusal().Key != "demo" {
		t.Errorf("pool_mode=statement: Ping: got %v, refused %v, want the demo", err, db.InitRefusal())
	}

	slowly := testkit.PgBouncer(t, pg, "transaction", "query_timeout = 1")
	r := records(t, open(t, engine.Config{URL: slowly.URL(), Timeout: time.Minute}), byID(slow))
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrSlow) || errors.Is(err, source.ErrDown) {
		t.Errorf("query_timeout: got %v, want ErrSlow", err)
	}
}

// TestPgBouncerOutage takes away what is behind the pooler, and the pooler.
func TestPgBouncerOutage(t *testing.T) {
	if !testkit.Long() {
		return // TestPostgresOutage has what does not concern poolers
	}
	t.Parallel()
	pg := testkit.Postgres(t, testkit.OwnServer())
	pooler := testkit.PgBouncer(t, pg, "transaction", "query_wait_timeout = 1")
	db := open(t, engine.Config{URL: pooler.URL(), Demo: true, Timeout: 10 * time.Second})
	r := renamed(t, db)
	const want = `{"name":"张三"}`
	works := func(after string) {
		t.Helper()
		testkit.Eventually(t, time.Minute, "a load after "+after, func() bool {
			got, err := r.Load(t.Context(), source.Args{int64(1)})
			return err == nil && string(got) == want
		})
		if !db.Up() {
			t.Errorf("Up() is false after %s", after)
		}
	}
	down := func(while string) {
		t.Helper()
		if _, err := r.Load(t.Context(), source.Args{int64(1)}); whose(err) != "source" {
			t.Errorf("Load while %s: got %v, want ErrDown", while, err)
		}
		if _, err := tryPut(t, r, `{"name":"x"}`, int64(1)); whose(err) != "source" {
			t.Errorf("Put while %s: got %v, want ErrDown", while, err)
		}
	}
	works("the start")
	pooler.Admin("RECONNECT")
	works("RECONNECT")

	c := rename(t, r, 1, "张三")
	pg.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	testkit.Eventually(t, time.Minute, "the session ends", func() bool {
		return pg.Int(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`) == 0
	})
	if err := c.Commit(t.Context()); err != nil {
		t.Errorf("Commit of a session that was ended behind the pooler: got %v, want it to be done once more", err)
	}

	ended := make(chan struct{}) // PAUSE waits for what runs
	go func() { defer close(ended); pooler.Admin("PAUSE") }()
	<-ended
	down("the pool is paused")
	pooler.Admin("RESUME")
	works("RESUME")

	pg.Stop()
	down("the server is away")
	pg.Start()
	works("the server came back")

	pooler.Kill()
	down("the pooler is away")
	pooler.Start()
	works("the pooler came back")
}

// TestSetUpHeld: another session keeps the lock of the set-up for good. The server goes
// on without, says who it is, and sets the database up once the lock is free.
func TestSetUpHeld(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]holder{
		"PostgreSQL": postgresHolder(t),
		"MariaDB":    mariaHolder(t),
	} {
		t.Run(name, func(t *testing.T) {
			if err := kind.session(kind.hold); err != nil {
				t.Fatal(err)
			}
			db := open(t, engine.Config{URL: kind.url, Init: []string{`CREATE TABLE IF NOT EXISTS a (b integer)`}, Wait: 100 * time.Millisecond})
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if r := db.InitRefusal(); r == nil || r.Key != "init[0]" || !strings.Contains(r.Err.Error(), kind.says) {
				t.Errorf("InitRefusal: got %v, want one that says %q", r, kind.says)
			}
			if err := kind.session(kind.release); err != nil {
				t.Fatal(err)
			}
			if err := db.Probe(t.Context()); err != nil || db.InitRefusal() != nil {
				t.Errorf("Probe once the lock is free: got %v, refused %v", err, db.InitRefusal())
			}
		})
	}
}

// holder is a session that takes the lock and gives it back.
type holder struct {
	url, hold, release, says string
	session                  func(sql string) error
}

func postgresHolder(t *testing.T) holder {
	pg := testkit.Postgres(t)
	return holder{pg.URL(), "SELECT pg_advisory_lock(114784635876456)", "SELECT pg_advisory_unlock(114784635876456)", "pg_terminate_backend(", session(t, pg)}
}

func mariaHolder(t *testing.T) holder {
	maria := testkit.MariaDB(t)
	pool, err := sql.Open("mysql", "root@tcp("+maria.Addr()+")/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxOpenConns(1) // the lock is this connection's
	return holder{maria.URL(), "DO GET_LOCK('hearth set-up', 0)", "DO RELEASE_LOCK('hearth set-up')", "end it by KILL ", func(text string) error {
		_, err := pool.ExecContext(t.Context(), text)
		return err
	}}
}

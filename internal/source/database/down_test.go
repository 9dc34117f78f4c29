package database_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// whose tells whom an error blames: the source, the caller, or the call.
func whose(err error) string {
	gaveUp := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		return "nobody"
	case errors.Is(err, source.ErrDown):
		return "source"
	case gaveUp:
		return "caller"
	}
	return "call"
}

// waits are calls that the source's own timeout ends, and calls that their
// caller ends. Of two deadlines the earlier counts.
var waits = []struct {
	own, callers time.Duration // 0: none
	want         string
}{
	{50 * time.Millisecond, 0, "source"},
	{50 * time.Millisecond, time.Hour, "source"},
	{time.Hour, 50 * time.Millisecond, "caller"},
	{time.Hour, -1, "caller"},
}

var errOther = errors.New("the caller's own cause")

// within returns a context that ends after d: never for 0, for a negative one
// by then already.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	if d < 0 {
		cancel(errOther)
	}
	if d <= 0 {
		return ctx
	}
	ctx, stop := context.WithTimeoutCause(ctx, d, errOther)
	t.Cleanup(stop)
	return ctx
}

// slow is what never ends, in all kinds of database.
const slow = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) AS c FROM n WHERE i > {id}`

func testDown(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range waits {
		spec := person()
		spec.Select, spec.SelectMany, spec.Timeout = slow, strings.Replace(slow, "i > {id}", "i IN ({id})", 1), w.own
		r := records(t, db, spec)
		f := func(call string, err error) {
			t.Helper()
			if got := whose(err); got != w.want {
				t.Errorf("%s, own timeout %v, caller's %v: got %v, which blames the %s, want the %s", call, w.own, w.callers, err, got, w.want)
			}
		}
		_, err := r.Load(within(t, w.callers), source.Args{int64(1)})
		f("Load", err)
		_, err = r.(source.ManyRecords).LoadMany(within(t, w.callers), []source.Args{{int64(1)}, {int64(2)}})
		f("LoadMany", err)
		_, err = r.Put(within(t, w.callers), source.Args{int64(1)}, bodyOf(`{"name":"a"}`))
		f("Put", err)
	}
}

// testNoConnection asks while a change holds the only connection.
func testNoConnection(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema, `INSERT INTO people (id, name) VALUES (2, 'b')`), MaxConns: 1})
	c, err := records(t, db, person()).Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Rollback()
	for _, w := range waits {
		spec := person()
		spec.Timeout = w.own
		r := records(t, db, spec)
		_, err := r.Put(within(t, w.callers), source.Args{int64(2)}, bodyOf(`{"name":"c"}`))
		if got := whose(err); got != w.want {
			t.Errorf("Put, own timeout %v, caller's %v: got %v, which blames the %s, want the %s", w.own, w.callers, err, got, w.want)
		}
		_, err = r.Delete(within(t, w.callers), source.Args{int64(2)})
		if got := whose(err); got != w.want {
			t.Errorf("Delete, own timeout %v, caller's %v: got %v, which blames the %s, want the %s", w.own, w.callers, err, got, w.want)
		}
	}
}

// testNotDown makes mistakes that are no fault of the database.
func testNotDown(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema,
		`INSERT INTO towns VALUES (1, 'one')`, `INSERT INTO people (id, name, town) VALUES (1, 'a', 1)`)})
	f := func(what string, err error) {
		t.Helper()
		if err == nil || errors.Is(err, source.ErrDown) {
			t.Errorf("%s: got %v, want an error that is not ErrDown", what, err)
		}
	}
	load := func(what, text string) {
		t.Helper()
		spec := person()
		spec.Select, spec.SelectMany = text, `SELECT id, name FROM people WHERE id IN ({id})`
		r := records(t, db, spec)
		_, err := r.Load(t.Context(), source.Args{int64(1)})
		f("Load of "+what, err)
		_, err = r.(source.ManyRecords).LoadMany(t.Context(), []source.Args{{int64(1)}})
		f("LoadMany of "+what, err)
		_, err = r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"b"}`))
		f("Put, reading back "+what, err)
	}
	load("a missing table", `SELECT id FROM nowhere WHERE id = {id}`)
	load("a missing column", `SELECT nothing FROM people WHERE id = {id}`)
	load("no JSON", `SELECT '{' || name AS json FROM people WHERE id = {id}`)
	load("a column twice", `SELECT id, name AS id FROM people WHERE id = {id}`)

	r := records(t, db, person())
	_, err := r.Load(t.Context(), source.Args{int64(404)})
	f("Load of no record", err)
	_, err = r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":null}`))
	f("Put of a bad body", err)
	_, err = r.Delete(t.Context(), source.Args{int64(404)})
	f("Delete of no record", err)
	towns := records(t, db, database.Spec{
		Name: "town", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT id FROM towns WHERE id = {id}`, Upsert: `INSERT INTO nowhere VALUES ({id})`, Delete: `DELETE FROM towns WHERE id = {id}`,
	})
	_, err = towns.Delete(t.Context(), source.Args{int64(1)})
	f("Delete of what others refer to", err)
	_, err = towns.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{}`))
	f("Put by a wrong statement", err)
	if !db.Up() {
		t.Error("Up() is false after other people's mistakes")
	}
}

func TestSQLiteBusy(t *testing.T) {
	file := "sqlite:" + filepath.Join(t.TempDir(), "x.db")
	other := renamed(t, open(t, engine.Config{URL: file, Demo: true}))
	load(t, other, int64(1))
	db := open(t, engine.Config{URL: file, Timeout: 50 * time.Millisecond})
	testkit.Eventually(t, time.Minute, "the database is set up", func() bool { return db.Ping(t.Context()) == nil })
	c := rename(t, other, 1, "a") // another process may do that
	defer c.Rollback()
	spec := database.Spec{
		Name: "user", Params: []param.Param{{Name: "id", Type: "int"}}, Timeout: time.Hour,
		Select: `SELECT name FROM users WHERE id = {id}`, Upsert: `UPDATE users SET name = {body.name} WHERE id = {id}`,
	}
	r := records(t, db, spec)
	if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"b"}`)); whose(err) != "call" || errors.Is(err, source.ErrFault) {
		t.Errorf("Put into a locked file: got %v, want an error that is neither an outage's nor the operator's", err)
	}
	if _, err := r.Put(within(t, time.Millisecond), source.Args{int64(1)}, bodyOf(`{"name":"b"}`)); whose(err) != "caller" {
		t.Errorf("Put into a locked file by an impatient caller: got %v, want its deadline's error", err)
	}
	if !db.Up() {
		t.Error("Up() is false for a file that is busy")
	}
}

func TestPostgresEndsSession(t *testing.T) {
	pg := testkit.Postgres(t)
	r := renamed(t, open(t, engine.Config{URL: pg.URL(), Demo: true, MaxConns: 1}))
	c := rename(t, r, 1, "a")
	pg.Exec(`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err := c.Commit(t.Context()); err != nil {
		t.Errorf("Commit of a session that was ended before: got %v, want it to be done once more on another", err)
	}
	if got := load(t, r, int64(1)); got != `{"name":"a"}` {
		t.Errorf("Load over a new session: got %s", got)
	}
}

// TestPostgresSlowWrite has the write wait, which goes another way than reads.
func TestPostgresSlowWrite(t *testing.T) {
	db := open(t, engine.Config{URL: testkit.Postgres(t).URL(), Demo: true})
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range waits {
		_, err := records(t, db, database.Spec{
			Name: "user", Params: []param.Param{{Name: "id", Type: "int"}}, Timeout: w.own,
			Select: `SELECT name FROM users WHERE id = {id}`, Upsert: `UPDATE users SET name = {body.name} WHERE id = {id} AND pg_sleep(600) IS NULL`,
		}).Put(within(t, w.callers), source.Args{int64(1)}, bodyOf(`{"name":"a"}`))
		if got := whose(err); got != w.want {
			t.Errorf("own timeout %v, caller's %v: got %v, which blames the %s, want the %s", w.own, w.callers, err, got, w.want)
		}
	}
}

// TestPostgresRefusesSessions asks for sessions that no server grants, each
// with another SQLSTATE.
func TestPostgresRefusesSessions(t *testing.T) {
	pg := testkit.Postgres(t)
	for _, addr := range []string{
		pg.URL() + "&work_mem=1", pg.URL() + "&options=-c%20nothing%3D1",
		strings.Replace(pg.URL(), "/test_", "/no_", 1), strings.Replace(pg.URL(), "postgres@", "nobody@", 1),
	} {
		_, err := renamed(t, open(t, engine.Config{URL: addr})).Load(t.Context(), source.Args{int64(1)})
		if !errors.Is(err, source.ErrDown) || !strings.HasPrefix(err.Error(), `loading a record of resource "user": `) {
			t.Errorf("Load over %s: got %v, want ErrDown", addr, err)
		}
		if !database.RefusesAccess(err) {
			t.Errorf("Load over %s: RefusesAccess(%v) is false", addr, err)
		}
	}
}

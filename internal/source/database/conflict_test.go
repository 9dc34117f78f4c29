package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// refusing has the first attempts at a write refused as a deadlock. What counts them is
// in a table without transactions, so that no rollback takes it back.
func refusing(t *testing.T, times int) (maria *testkit.Database, r source.Records, attempts func() int64) {
	t.Helper()
	maria = testkit.MariaDB(t)
	maria.Exec(`CREATE TABLE users (id integer PRIMARY KEY, name varchar(80)); INSERT INTO users VALUES (1, 'before');
		CREATE TABLE tries (n integer) ENGINE=MyISAM; INSERT INTO tries VALUES (0)`)
	maria.Exec(fmt.Sprintf(`DELIMITER //
CREATE TRIGGER refusing BEFORE UPDATE ON users FOR EACH ROW BEGIN
	UPDATE tries SET n = n + 1;
	IF (SELECT n FROM tries) <= %d THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'; END IF;
END//
`, times))
	r = records(t, open(t, engine.Config{URL: maria.URL(), MaxConns: 2, Timeout: time.Minute}), mariaUser)
	return maria, r, func() int64 { return maria.Int(`SELECT n FROM tries`) }
}

// TestMariaDBDeadlocks: nothing is committed, so it is done again, twice.
func TestMariaDBDeadlocks(t *testing.T) {
	for times, stored := range []bool{true, true, true, false, false} {
		maria, r, attempts := refusing(t, times)
		c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"after"}`))
		if err == nil {
			err = c.Commit(t.Context())
		}
		if got := maria.Text(nameOfOne) == "after"; got != stored || (err == nil) != stored || errors.Is(err, source.ErrDown) || errors.Is(err, source.ErrFault) {
			t.Errorf("refused %d times: got %v, stored %t, want %t", times, err, got, stored)
		}
		if got, want := attempts(), int64(min(times, 2)+1); got != want {
			t.Errorf("refused %d times: %d attempts, want %d", times, got, want)
		}
	}
}

// TestRepetitionsAskAgain: the condition of a write is judged in each attempt, on what
// stands by then.
func TestRepetitionsAskAgain(t *testing.T) {
	maria, r, attempts := refusing(t, 2)
	judged := 0
	ctx := source.Condition(func(record []byte) string {
		if judged++; judged == 2 { // as if another write had been committed meanwhile
			return "changed since"
		}
		return ""
	}).In(t.Context())
	_, err := r.Put(ctx, source.Args{int64(1)}, bodyOf(`{"name":"after"}`))
	if !errors.As(err, new(*source.ConditionError)) || judged != 2 || attempts() != 1 || maria.Text(nameOfOne) != "before" {
		t.Errorf("got %v after %d judgements and %d attempts, want the condition's refusal in the second", err, judged, attempts())
	}
}

// TestRepetitionsEndWithTheGuard: a write whose guard is lost is not done again.
func TestRepetitionsEndWithTheGuard(t *testing.T) {
	maria, r, attempts := refusing(t, 2)
	guarded, lose := context.WithCancelCause(t.Context())
	lost := errors.New("the guard was lost")
	judged := 0
	ctx := source.Condition(func([]byte) string {
		if judged++; judged == 2 {
			lose(lost)
		}
		return ""
	}).In(guarded)
	_, err := r.Put(ctx, source.Args{int64(1)}, bodyOf(`{"name":"after"}`))
	if err == nil || judged != 2 || attempts() != 1 || maria.Text(nameOfOne) != "before" {
		t.Errorf("got %v after %d judgements and %d attempts, want it to end with the guard", err, judged, attempts())
	}
}

// testCrowd has many clients write one record at once, each over what it has read and
// none with a condition that fails.
func testCrowd(t *testing.T, d *testkit.Database) {
	d.Exec(`CREATE TABLE users (id integer PRIMARY KEY, name varchar(80)); INSERT INTO users VALUES (1, 'before')`)
	r := records(t, open(t, engine.Config{URL: d.URL(), MaxConns: 16, Timeout: time.Minute}), mariaUser)
	ctx := source.Condition(func([]byte) string { return "" }).In(t.Context())
	var failed atomic.Int64
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	for i := range 120 {
		all.Go(func() {
			c, err := r.Put(ctx, source.Args{int64(1)}, bodyOf(fmt.Sprintf(`{"name":"%d"}`, i)))
			if err == nil {
				err = c.Commit(t.Context())
			}
			if err != nil {
				failed.Add(1)
				first.CompareAndSwap(nil, &err)
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of 120 writes failed, the first with %v", n, *first.Load())
	}
}

func TestPostgresCrowd(t *testing.T) { testCrowd(t, testkit.Postgres(t)) }

func TestMariaDBCrowd(t *testing.T) { testCrowd(t, testkit.MariaDB(t)) }

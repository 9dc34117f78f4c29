package database_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
)

// The part of the contract suite (testRecords) that changes records.

func testPut(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	r := records(t, db, person())
	f := func(body, want string) {
		t.Helper()
		if got := put(t, r, body, int64(1)); got != want {
			t.Errorf("Put(%s): got %s, want %s", body, got, want)
		}
		if got := load(t, r, int64(1)); got != want {
			t.Errorf("Load after Put(%s): got %s, want %s", body, got, want)
		}
	}
	f(`{"name":"Ann","city":"Łódź","age":3}`, `{"id":1,"name":"Ann","city":"Łódź","age":3}`)
	f(`{"name":"Ann"}`, `{"id":1,"name":"Ann","city":null,"age":null}`)
	f(`{"name":"'); DROP TABLE people; --","city":{"a": [1,"x"]},"id":1}`,
		`{"id":1,"name":"'); DROP TABLE people; --","city":"{\"a\": [1,\"x\"]}","age":null}`)
	f(`{"name":"\u00e9\ud83d\ude00","home":null}`, `{"id":1,"name":"é😀","city":null,"age":null}`)
	f(`{"name":"","home":{}}`, `{"id":1,"name":"","city":null,"age":null}`)

	c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"not kept"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(c.Record()), `{"id":1,"name":"not kept","city":null,"age":null}`; got != want {
		t.Errorf("Record: got %s, want %s", got, want)
	}
	c.Rollback()
	c.Rollback()
	if err := c.Commit(t.Context()); err == nil {
		t.Error("Commit after Rollback: got no error")
	}
	if got, want := load(t, r, int64(1)), `{"id":1,"name":"","city":null,"age":null}`; got != want {
		t.Errorf("Load after Rollback: got %s, want %s", got, want)
	}
	spec := person()
	spec.Select = `SELECT name FROM people WHERE id = {id} AND city = 'nowhere'`
	if got := put(t, records(t, db, spec), `{"name":"Ann"}`, int64(1)); got != "" {
		t.Errorf("a select that finds nothing: got the record %s", got)
	}
}

func testNumbers(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	r := records(t, db, database.Spec{
		Name: "amount", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT id, city, amount FROM people WHERE id = {id}`,
		Upsert: `INSERT INTO people (id, name, city, amount) VALUES ({id}, {body.name}, {body.city?}, {body.amount})`,
	})
	f := func(id int64, city, amount, want string) {
		t.Helper()
		got := put(t, r, fmt.Sprintf(`{"name":"n%d","city":%s,"amount":%s}`, id, city, amount), id)
		got = strings.TrimRight(strings.TrimSuffix(got, "}"), "0") // numeric(30,4) keeps its scale in PostgreSQL
		if got = strings.TrimSuffix(got, "."); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f(9007199254740993, `9007199254740993`, `9007199254740993`,
		`{"id":9007199254740993,"city":"9007199254740993","amount":9007199254740993`)
	f(-9223372036854775808, `123456789012345678901234567890`, `-0.125`,
		`{"id":-9223372036854775808,"city":"123456789012345678901234567890","amount":-0.125`)
}

func testBodies(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	r := records(t, db, person())
	f := func(body, member string) {
		t.Helper()
		c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(body))
		var fault *source.BodyError
		switch {
		case err == nil:
			c.Rollback()
			t.Errorf("Put(%.80s): got no error", body)
		case !errors.As(err, &fault) || fault.Member != member || fault.Reason == "":
			t.Errorf("Put(%.80s): got %v, want a BodyError about %q", body, err, member)
		}
	}
	f(`{}`, "name")
	f(`{"name":"a","home":5}`, "home")
	f(`{"name":"a","id":2}`, "id")
	f(`{"name":"a","id":"2"}`, "id")
	f(`{"name":"a","id":null}`, "id")
	f(`{"name":"a","ID":2}`, "ID")
	deep := `{"name":"a","city":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`
	c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(deep))
	if err != nil {
		t.Fatalf("Put of 64 levels: %v", err)
	}
	c.Rollback()
}

func testConstraints(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema, `INSERT INTO people (id, name) VALUES (2, 'taken')`)})
	r := records(t, db, person())
	for body, member := range map[string]string{
		`{"name":null}`: "name", `{"name":"taken"}`: "name", `{"name":"a","age":-1}`: "age", `{"name":"a","age":"old"}`: "age",
		`{"name":"a","age":1.5}`: "age", `{"name":"a","age":99999999999999999999}`: "age", `{"name":"a","home":{"town":99}}`: "home.town",
	} {
		c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(body))
		if err == nil { // a foreign key of SQLite speaks up at COMMIT
			err = c.Commit(t.Context())
		}
		var fault *source.BodyError
		if !errors.As(err, &fault) || fault.Reason == "" || fault.Member != member {
			t.Errorf("Put(%s): got %v, want a BodyError about %q", body, err, member)
			continue
		}
		for _, leak := range []string{"people", "constraint", "INSERT", "SQL"} {
			if strings.Contains(err.Error(), leak) {
				t.Errorf("Put(%s): the error %q leaks %q", body, err, leak)
			}
		}
	}
	if got := load(t, r, int64(1)); got != "none" {
		t.Errorf("after refused puts: got %s, want none", got)
	}
	if !db.Up() {
		t.Error("Up() is false after refused puts")
	}
}

func testDelete(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: append(schema,
		`INSERT INTO towns VALUES (1, 'one'), (2, 'two')`, `INSERT INTO people (id, name, town) VALUES (1, 'a', 1)`)})
	towns := records(t, db, database.Spec{
		Name: "town", Params: []param.Param{{Name: "id", Type: "int"}},
		Select: `SELECT id FROM towns WHERE id = {id}`, Delete: `DELETE FROM towns WHERE id = {id}`,
	})
	c, err := towns.Delete(t.Context(), source.Args{int64(2)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Record() != nil {
		t.Errorf("Record after a deletion: got %s", c.Record())
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := load(t, towns, int64(2)); got != "none" {
		t.Errorf("after the deletion: got %s", got)
	}
	if _, err := towns.Delete(t.Context(), source.Args{int64(2)}); !errors.Is(err, source.ErrNoRecord) {
		t.Errorf("deleting again: got %v, want ErrNoRecord", err)
	}
	if _, err := towns.Delete(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrConflict) {
		t.Errorf("deleting what others refer to: got %v, want ErrConflict", err)
	}
}

func testReadOnly(t *testing.T, newURL func(testing.TB) string) {
	spec := person()
	spec.Upsert, spec.Delete = "", ""
	r := records(t, open(t, engine.Config{URL: newURL(t), Init: schema}), spec)
	if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{}`)); !errors.Is(err, source.ErrReadOnly) {
		t.Errorf("Put: got %v, want ErrReadOnly", err)
	}
	if _, err := r.Delete(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrReadOnly) {
		t.Errorf("Delete: got %v, want ErrReadOnly", err)
	}
}

// testIsolation reads while a change is open. In memory one connection does
// both, so a reader waits there, and gives up at its deadline.
func testIsolation(t *testing.T, newURL func(testing.TB) string) {
	cfg := engine.Config{URL: newURL(t), Init: append(schema, `INSERT INTO people (id, name) VALUES (1, 'old')`)}
	r := records(t, open(t, cfg), person())
	c, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"new"}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err := r.Load(ctx, source.Args{int64(1)})
	if strings.Contains(cfg.URL, ":memory:") {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load beside an open change: got %s, %v, want the deadline's error", got, err)
		}
	} else if want := `{"id":1,"name":"old","city":null,"age":null}`; string(got) != want {
		t.Errorf("Load beside an open change: got %s, %v, want %s", got, err, want)
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := load(t, r, int64(1)), `{"id":1,"name":"new","city":null,"age":null}`; got != want {
		t.Errorf("Load after Commit: got %s, want %s", got, want)
	}
}

// testRelease ends more changes, in every way there is, than there are
// connections.
func testRelease(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema, MaxConns: 2})
	r := records(t, db, person())
	args := source.Args{int64(1)}
	for range 5 {
		if _, err := r.Put(t.Context(), args, bodyOf(`{"name":null}`)); err == nil {
			t.Fatal("Put of a null name: got no error")
		}
		if _, err := r.Delete(t.Context(), source.Args{int64(404)}); !errors.Is(err, source.ErrNoRecord) {
			t.Fatalf("Delete: got %v", err)
		}
		c, err := r.Put(t.Context(), args, bodyOf(`{"name":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Commit(over); !errors.Is(err, context.Canceled) || errors.Is(err, source.ErrUnknownOutcome) {
			t.Fatalf("Commit on a context that is over: got %v, want a refusal", err)
		}
		// The context of Put may end before the change does.
		ctx, cancel := context.WithCancel(t.Context())
		if c, err = r.Put(ctx, args, bodyOf(`{"name":"b"}`)); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := c.Commit(t.Context()); err != nil {
			t.Fatalf("Commit after the context of Put ended: %v", err)
		}
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, err := r.Put(t.Context(), source.Args{int64(i)}, bodyOf(fmt.Sprintf(`{"name":"p%d"}`, i)))
			if err != nil {
				t.Errorf("Put(%d): %v", i, err)
				return
			}
			if err := c.Commit(t.Context()); err != nil {
				t.Errorf("Commit(%d): %v", i, err)
			}
		})
	}
	wg.Wait()
	if got, want := load(t, r, int64(7)), `{"id":7,"name":"p7","city":null,"age":null}`; got != want {
		t.Errorf("after parallel puts: got %s, want %s", got, want)
	}
}

func testDeadline(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, engine.Config{URL: newURL(t), Init: schema})
	slow := person()
	slow.Timeout = 50 * time.Millisecond
	slow.Select = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT count(*) AS c FROM n WHERE i > {id}`
	if _, err := records(t, db, slow).Load(t.Context(), source.Args{int64(1)}); err == nil || errors.Is(err, source.ErrNoRecord) {
		t.Errorf("Load past the resource's timeout: got %v, want an error", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	slow.Timeout = time.Hour
	if _, err := records(t, db, slow).Put(ctx, source.Args{int64(1)}, bodyOf(`{"name":"a"}`)); err == nil {
		t.Error("Put past the deadline: got no error")
	}
	if got := load(t, records(t, db, person()), int64(1)); got != "none" {
		t.Errorf("after a put past its deadline: got %s, want none", got)
	}
}

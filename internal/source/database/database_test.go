package database_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
)

// The part of the contract suite (testRecords) about a database's life.

// testFailingInit mends what a statement of init needs while the server goes on
// without it.
func testFailingInit(t *testing.T, newURL func(testing.TB) string) {
	url := newURL(t)
	db := open(t, engine.Config{URL: url, Init: []string{`CREATE TABLE IF NOT EXISTS a (b integer)`, `INSERT INTO later VALUES (1)`, `no statement`}})
	if err := db.Ping(t.Context()); err != nil || !db.Up() {
		t.Errorf("Ping: got %v, up %t, want that only init is refused", err, db.Up())
	}
	if r := db.InitRefusal(); r == nil || r.Key != "init[1]" || !strings.Contains(r.Err.Error(), "running database.init[1]: ") {
		t.Errorf("InitRefusal: got %v, want init[1]", r)
	}
	r := records(t, db, database.Spec{Name: "a", Params: person().Params, Select: `SELECT b FROM a WHERE b = {id}`})
	if got := load(t, r, int64(1)); got != "none" {
		t.Errorf("Load of what init has made: got %s", got)
	}
	if err := db.Probe(t.Context(), r); err != nil || db.InitRefusal() == nil {
		t.Errorf("Probe before init is mended: got %v, %v", err, db.InitRefusal())
	}
	if strings.HasSuffix(url, ":memory:") { // nobody else can mend it
		return
	}
	other := open(t, engine.Config{URL: url, Init: []string{`CREATE TABLE IF NOT EXISTS later (b integer)`}})
	if err := other.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Probe(t.Context(), r); err != nil || db.InitRefusal() == nil || db.InitRefusal().Key != "init[2]" {
		t.Errorf("Probe after one of two is mended: got %v, %v", err, db.InitRefusal())
	}
}

// TestNewStartsNothing leaves databases open that nobody has asked: TestMain finds no
// goroutine of theirs, and there is no file.
func TestNewStartsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	for _, url := range []string{"sqlite:" + file, "postgres://u@127.0.0.1:1/db", "mysql://u@127.0.0.1:1/db"} {
		if _, err := database.New(engine.Config{URL: url, Demo: true, MaxConns: 1, Timeout: time.Second}); err != nil {
			t.Errorf("New(%q): %v", url, err)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file: got %v, want that there is none", err)
	}
}

// testRacingSetUp starts several instances on one database at once.
func testRacingSetUp(t *testing.T, newURL func(testing.TB) string) {
	cfg := engine.Config{URL: newURL(t), Init: schema, Demo: true, Timeout: 20 * time.Second}
	var wg sync.WaitGroup
	for range 4 {
		db := open(t, cfg)
		for range 3 {
			wg.Go(func() {
				if err := db.Ping(t.Context()); err != nil {
					t.Errorf("Ping: %v", err)
				}
			})
		}
	}
	wg.Wait()
}

func testClosed(t *testing.T, newURL func(testing.TB) string) {
	db, err := database.New(engine.Config{URL: newURL(t), MaxConns: 16, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r := records(t, db, person())
	for range 2 {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	f := func(call string, err error) {
		t.Helper()
		if !errors.Is(err, source.ErrClosed) || errors.Is(err, source.ErrDown) {
			t.Errorf("%s: got %v, want ErrClosed alone", call, err)
		}
	}
	_, err = r.Load(t.Context(), source.Args{int64(1)})
	f("Load", err)
	f("Ping", db.Ping(t.Context()))

	// And once more after it had been in use.
	if db, err = database.New(engine.Config{URL: newURL(t), Init: schema, MaxConns: 16, Timeout: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	r = records(t, db, person())
	load(t, r, int64(1))
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_, err = r.Load(t.Context(), source.Args{int64(1)})
	f("Load after use", err)
	_, err = r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"a"}`))
	f("Put after use", err)
	f("Ping after use", db.Ping(t.Context()))
}

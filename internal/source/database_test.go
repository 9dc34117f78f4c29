package source_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
)

// The part of the contract suite (testRecords) about a database's life.

func testFailingInit(t *testing.T, newURL func(testing.TB) string) {
	db := open(t, source.Config{URL: newURL(t), Init: []string{`CREATE TABLE a (b integer)`, `no statement`}})
	r := records(t, db, person())
	for range 2 {
		_, err := r.Load(t.Context(), source.Args{int64(1)})
		if !errors.Is(err, source.ErrDown) || errors.Is(err, source.ErrNoRecord) || db.Up() {
			t.Errorf("Load: got %v, up %t, want ErrDown", err, db.Up())
		}
		if err := db.Ping(t.Context()); !errors.Is(err, source.ErrDown) || !strings.Contains(err.Error(), "database.init[") {
			t.Errorf("Ping: got %v", err)
		}
	}
}

// testRacingSetUp starts several instances on one database at once.
func testRacingSetUp(t *testing.T, newURL func(testing.TB) string) {
	cfg := source.Config{URL: newURL(t), Init: schema, Demo: true, Timeout: 20 * time.Second}
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
	db, err := source.Open(source.Config{URL: newURL(t)})
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
	if db, err = source.Open(source.Config{URL: newURL(t), Init: schema}); err != nil {
		t.Fatal(err)
	}
	r = records(t, db, person())
	load(t, r, int64(1))
	if err := db.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_, err = r.Load(t.Context(), source.Args{int64(1)})
	f("Load after use", err)
	_, err = r.Put(t.Context(), source.Args{int64(1)}, []byte(`{"name":"a"}`))
	f("Put after use", err)
	f("Ping after use", db.Ping(t.Context()))
}

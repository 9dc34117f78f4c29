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
		if err == nil || errors.Is(err, source.ErrNoRecord) || db.Up() {
			t.Errorf("Load: got %v, up %t", err, db.Up())
		}
		if err := db.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "database.init[") {
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
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrClosed) {
		t.Errorf("Load: got %v, want ErrClosed", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, source.ErrClosed) {
		t.Errorf("Ping: got %v, want ErrClosed", err)
	}
}

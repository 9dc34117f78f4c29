package database_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/source/database"
	"hearth/internal/source/engine"
)

func TestBodyOf(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite::memory:"})
	f := func(read, upsert string, want database.Body) {
		t.Helper()
		got := database.BodyOf(records(t, db, writable(read, upsert)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s; %s (-want +got):\n%s", read, upsert, diff)
		}
	}
	const upsert = `REPLACE INTO t (id, name, zip) VALUES ({id}, {body.name}, {body.home.zip?})`
	members := []database.Member{{Name: "name", Required: true}, {Name: "home.zip"}}
	f(`SELECT id AS key, t.name, max(seen) AS seen FROM t WHERE id = {id}`, upsert, database.Body{Members: members, Ignored: []string{"key", "seen", "id"}, Closed: true})
	f(`SELECT * FROM t WHERE id = {id}`, upsert, database.Body{Members: members})
	f(`SELECT doc AS json FROM t WHERE id = {id}`, upsert, database.Body{Members: members})
	f(`SELECT home FROM t WHERE id = {id}`, upsert, database.Body{Members: members})
	f(`SELECT id, count(*) FROM t WHERE id = {id}`, upsert, database.Body{Members: members})
	f(`SELECT id FROM t WHERE id = {id}`, `REPLACE INTO t (id, doc) VALUES ({id}, {body})`, database.Body{})
}

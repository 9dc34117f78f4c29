package database_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// TestAWriteWithoutEffect: a statement that changes no row is no 200. Its own
// condition makes an optimistic lock of a version in the body; of two writers who
// have both read one version one stores.
func TestAWriteWithoutEffect(t *testing.T) {
	f := func(name, url string) {
		t.Run(name, func(t *testing.T) {
			db := open(t, engine.Config{URL: url, MaxConns: 8, Timeout: 20 * time.Second, Init: []string{
				`CREATE TABLE IF NOT EXISTS notes (id integer PRIMARY KEY, words varchar(40), version integer)`, `DELETE FROM notes`,
				`INSERT INTO notes VALUES (1, 'old', 1)`}})
			with := func(upsert string) source.Records {
				spec := byID(`SELECT id, words, version FROM notes WHERE id = {id}`)
				spec.Upsert = upsert
				return records(t, db, spec)
			}
			put := func(r source.Records, id int64, body string) error {
				c, err := r.Put(t.Context(), source.Args{id}, bodyOf(body))
				if err == nil {
					err = c.Commit(t.Context())
				}
				return err
			}
			unmet := func(what string, err error) {
				t.Helper()
				var unmet *source.ConditionError
				if !errors.As(err, &unmet) {
					t.Errorf("%s: got %v, want a condition that failed", what, err)
				}
			}
			versioned := with(`UPDATE notes SET words = {body.words}, version = version + 1 WHERE id = {id} AND version = {body.version}`)
			for version, body := range []string{`{"words":"a","version":1}`, `{"words":"b","version":2}`} {
				var errs [2]error
				var both sync.WaitGroup
				for i := range errs {
					both.Go(func() { errs[i] = put(versioned, 1, body) })
				}
				both.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Errorf("version %d: got %v and %v, want one stored", version+1, errs[0], errs[1])
				}
				unmet("the other", errors.Join(errs[:]...))
				unmet("an old version", put(versioned, 1, `{"words":"c","version":1}`))
			}
			if got := load(t, versioned, int64(1)); got != `{"id":1,"words":"b","version":3}` {
				t.Errorf("the record is %s", got)
			}
			if err := put(versioned, 9, `{"words":"c","version":1}`); !errors.Is(err, source.ErrNoRecord) {
				t.Errorf("a record that is not there: got %v, want ErrNoRecord", err)
			}
			same := with(`UPDATE notes SET words = {body.words} WHERE id = {id}`)
			upsert := `INSERT INTO notes (id, words, version) VALUES ({id}, {body.words}, 3) ON CONFLICT (id) DO UPDATE SET words = excluded.words`
			create := `/* once */ INSERT INTO notes (id, words, version) VALUES ({id}, {body.words}, 1) ON CONFLICT DO NOTHING`
			if strings.HasPrefix(name, "Maria") {
				upsert = `INSERT INTO notes (id, words, version) VALUES ({id}, {body.words}, 3) ON DUPLICATE KEY UPDATE words = VALUES(words)`
				create = `/* once */ INSERT IGNORE INTO notes (id, words, version) VALUES ({id}, {body.words}, 1)`
			}
			for range 2 { // what it sets is what is there
				if err := errors.Join(put(same, 1, `{"words":"same"}`), put(with(upsert), 1, `{"words":"same"}`)); err != nil {
					t.Errorf("a change to what is there already: %v", err)
				}
			}
			once := with(create)
			if err := put(once, 2, `{"words":"first"}`); err != nil {
				t.Error(err)
			}
			unmet("a second creation", put(once, 2, `{"words":"second"}`))
		})
	}
	f("SQLite", "sqlite:"+filepath.Join(t.TempDir(), "effect.db"))
	f("PostgreSQL", testkit.Postgres(t).URL())
	f("MariaDB", testkit.MariaDB(t).URL())
}

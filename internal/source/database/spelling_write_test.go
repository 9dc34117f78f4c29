package database_test

import (
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/testkit"
)

// TestTwoSpellingsMakeOneRow: two writers make one row under two spellings at
// once. The later one must not give the earlier one's row another name.
func TestTwoSpellingsMakeOneRow(t *testing.T) {
	f := func(url, kind, conflict string, waits func() bool) {
		t.Helper()
		n := named(t, url, people("", conflict), `DROP TABLE IF EXISTS folk`, `CREATE TABLE folk (email `+kind+` PRIMARY KEY, name text)`)
		first, err := n.r.Put(t.Context(), source.Args{"Bob"}, bodyOf(`{"name":"first"}`))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(first.Rollback) // else its table could not be dropped
		said := make(chan string, 1)
		second := func() {
			c, err := n.r.Put(t.Context(), source.Args{"bob"}, bodyOf(`{"name":"second"}`))
			if err == nil {
				c.Rollback()
			}
			said <- spelt(t, nil, err)
		}
		go second()
		testkit.Eventually(t, 20*time.Second, "the second waits for the first", func() bool {
			select {
			case <-said: // it had no time left when it was looked for
				go second()
			default:
			}
			return waits()
		})
		if err := first.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-said; got != "→ Bob" {
			t.Errorf("%s: the second writer got %s", kind, got)
		}
		n.read(`{"email":"Bob","name":"first"}`, "Bob")
	}
	post := testkit.Postgres(t)
	post.Exec(`CREATE EXTENSION citext`)
	f(post.URL(), "citext", renames, func() bool {
		return post.Int(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	})
	maria := testkit.MariaDB(t)
	f(maria.URL(), "varchar(40) COLLATE utf8mb4_general_ci", renamesMySQL, func() bool {
		return maria.Int(`SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'`) > 0
	})
}

// TestPutUnderAnAlternative: a select that finds a row by one of two columns
// does not make the other one the key of what is written.
func TestPutUnderAnAlternative(t *testing.T) {
	spec := people("", renames)
	spec.Select = `SELECT email, name FROM folk WHERE email = {email} OR name = {email}`
	spec.SelectMany = ""
	n := named(t, sqliteURL(t), spec, `CREATE TABLE folk (email TEXT PRIMARY KEY, name TEXT)`)
	n.put(`{"email":"ann","name":"Ann"}`, `{"email":"ann","name":"Ann"}`, "ann")
	n.read("→ ann", "Ann")
}

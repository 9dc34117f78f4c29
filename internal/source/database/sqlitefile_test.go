package database_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// sqliteFile makes a database file with record 1 of that name, and closes it: all is in the file.
func sqliteFile(t *testing.T, path, name string) {
	t.Helper()
	db, err := database.New(engine.Config{URL: "sqlite:" + path, MaxConns: 2, Timeout: 5 * time.Second,
		Init: []string{`CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)`, `INSERT INTO users VALUES (1, '` + name + `')`}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Ping(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// loads checks what a load of record 1 finds.
func loads(t *testing.T, r source.Records, want string) {
	t.Helper()
	if got := load(t, r, int64(1)); got != `{"name":"`+want+`"}` {
		t.Errorf("Load: got %s, want %s", got, want)
	}
}

// TestSQLiteReplaced puts other files in the place of the one that is open, with changes
// in its write-ahead log, as a backup that is restored does.
func TestSQLiteReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, next := filepath.Join(dir, "x.db"), filepath.Join(dir, "next.db")
	sqliteFile(t, path, "first")
	db := open(t, engine.Config{URL: "sqlite:" + path, Init: []string{`CREATE TABLE IF NOT EXISTS later (b integer)`}})
	r := renamed(t, db)
	loads(t, r, "first")
	put(t, r, `{"name":"changed"}`, int64(1))
	for _, name := range []string{"second", "third"} {
		open := rename(t, r, 1, name+" by a transaction that began before")
		sqliteFile(t, next, name)
		if err := os.Rename(next, path); err != nil {
			t.Fatal(err)
		}
		loads(t, r, name)
		if err := open.Commit(t.Context()); err != nil {
			t.Errorf("Commit into a file that was replaced: got %v, want it to be done once more", err)
		}
		loads(t, r, name+" by a transaction that began before")
		put(t, r, `{"name":"put"}`, int64(1))
		loads(t, r, "put")
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		later := records(t, db, byID(`SELECT b FROM later WHERE b = {id}`))
		if got := load(t, later, int64(1)); got != "none" {
			t.Errorf("what init makes is not there: %s", got)
		}
		check := records(t, db, byID(`SELECT integrity_check FROM pragma_integrity_check WHERE {id} = 1`))
		if got := load(t, check, int64(1)); got != `{"integrity_check":"ok"}` {
			t.Errorf("the file after it was replaced: %s", got)
		}
	}
}

// TestSQLiteGone takes the file away, and puts it back.
func TestSQLiteGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	sqliteFile(t, path, "first")
	db := open(t, engine.Config{URL: "sqlite:" + path})
	r := renamed(t, db)
	put(t, r, `{"name":"kept"}`, int64(1))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); whose(err) != "source" {
		t.Errorf("Load from no file: got %v, want ErrDown", err)
	}
	if _, err := tryPut(t, r, `{"name":"x"}`, int64(1)); whose(err) != "source" {
		t.Errorf("Put into no file: got %v, want ErrDown", err)
	}
	if err := db.Ping(t.Context()); database.Says(err) != "the database's file is gone" || db.Up() {
		t.Errorf("Ping: got %v, which says %q", err, database.Says(err))
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an empty file was made in the place of the one that is gone")
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	loads(t, r, "kept")
	put(t, r, `{"name":"x"}`, int64(1))
}

// TestSQLiteReadOnly: a file that takes no writes is read all the same, whatever mode it
// was left in, and takes them again once it can.
func TestSQLiteReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	sqliteFile(t, path, "first")
	reads := func(when string, db *database.DB) source.Records {
		t.Helper()
		r := renamed(t, db)
		loads(t, r, "first")
		if _, err := tryPut(t, r, `{"name":"x"}`, int64(1)); err == nil || errors.Is(err, source.ErrDown) {
			t.Errorf("%s: Put: got %v, want a refusal that is no outage", when, err)
		}
		if err := db.Ping(t.Context()); err != nil || !db.ReadOnly() || !db.Up() {
			t.Errorf("%s: Ping: got %v, read-only %t, up %t", when, err, db.ReadOnly(), db.Up())
		}
		return r
	}
	live := open(t, engine.Config{URL: "sqlite:" + path})
	loads(t, renamed(t, live), "first") // while it can be written

	end := testkit.ReadOnly(t, dir)
	r := reads("within the life of a server", live)
	db := open(t, engine.Config{URL: "sqlite:" + path, Init: []string{`CREATE TABLE IF NOT EXISTS users (a integer)`}, Demo: true})
	reads("beside the files of another", db)
	if db.InitRefusal() != nil {
		t.Errorf("a set-up that changes nothing is refused: %v", db.InitRefusal())
	}
	end()
	put(t, r, `{"name":"first"}`, int64(1))
	if err := errors.Join(live.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}

	end = testkit.ReadOnly(t, dir) // now there is no log beside it
	r = reads("alone", open(t, engine.Config{URL: "sqlite:" + path}))
	end()
	put(t, r, `{"name":"last"}`, int64(1))
}

// TestSQLiteReadOnlyWithALog: what is in the log alone must not be left out.
func TestSQLiteReadOnlyWithALog(t *testing.T) {
	t.Parallel()
	dir, copies := t.TempDir(), t.TempDir()
	path, copied := filepath.Join(dir, "x.db"), filepath.Join(copies, "x.db")
	sqliteFile(t, path, "first")
	put(t, renamed(t, open(t, engine.Config{URL: "sqlite:" + path})), `{"name":"in the log"}`, int64(1))
	for _, name := range []string{"", "-wal"} { // a snapshot without the index
		if out, err := exec.Command("cp", path+name, copied+name).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	end := testkit.ReadOnly(t, copies)
	db := open(t, engine.Config{URL: "sqlite:" + copied})
	err := db.Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "wal_checkpoint") || !strings.Contains(database.Says(err), "read-only") {
		t.Errorf("Ping: got %v, which says %q", err, database.Says(err))
	}
	end()
	loads(t, renamed(t, db), "in the log")
}

// TestSQLiteDamaged puts what is no database in the place of the file, and has a full one.
func TestSQLiteDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, next := filepath.Join(dir, "x.db"), filepath.Join(dir, "next.db")
	sqliteFile(t, path, "first")
	db := open(t, engine.Config{URL: "sqlite:" + path, Init: []string{`PRAGMA max_page_count = 4`}})
	r := renamed(t, db)
	loads(t, r, "first")
	if _, err := tryPut(t, r, `{"name":"`+strings.Repeat("x", 1<<16)+`"}`, int64(1)); err == nil || whose(err) != "call" || errors.Is(err, source.ErrFault) {
		t.Errorf("Put into a full file: got %v, want an error that is neither an outage's nor the operator's", err)
	}
	loads(t, r, "first")

	if err := os.WriteFile(next, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(t.Context(), source.Args{int64(1)}); !errors.Is(err, source.ErrFault) {
		t.Errorf("Load from what is no database: got %v, want ErrFault", err)
	}
	if err := db.Ping(t.Context()); database.Says(err) != "the database's file is damaged, or is no database" {
		t.Errorf("Ping: got %v, which says %q", err, database.Says(err))
	}
	sqliteFile(t, next, "second")
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	loads(t, r, "second")
}

// TestSQLiteHeld: another process holds the file for good. The server goes on without its
// set-up, and reads.
func TestSQLiteHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	sqliteFile(t, path, "first")
	holder := renamed(t, open(t, engine.Config{URL: "sqlite:" + path}))
	held := rename(t, holder, 1, "x")
	db := open(t, engine.Config{URL: "sqlite:" + path, Init: []string{`CREATE TABLE IF NOT EXISTS a (b integer)`}, Timeout: 200 * time.Millisecond})
	testkit.Eventually(t, time.Minute, "the server goes on", func() bool { return db.Ping(t.Context()) == nil })
	if r := db.InitRefusal(); r == nil || r.Key != "init[0]" || !strings.Contains(r.Err.Error(), "has locked the file") {
		t.Errorf("InitRefusal: got %v", r)
	}
	loads(t, renamed(t, db), "first")
	held.Rollback()
	testkit.Eventually(t, time.Minute, "the set-up is done", func() bool { return db.Probe(t.Context()) == nil && db.InitRefusal() == nil })
}

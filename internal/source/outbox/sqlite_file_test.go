package outbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

func (l *lite) moved() bool {
	l.tb.Helper()
	moved, err := l.Moved(l.tb.Context())
	if err != nil {
		l.tb.Fatal(err)
	}
	return moved
}

// TestSQLiteMoved: commits of any program show, those of this process included, and
// nothing else does.
func TestSQLiteMoved(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable, setOf("users", nil, "id"))
	other := open(t, "sqlite:"+l.path) // as the pool of the resources is
	f := func(what string, want bool, do func()) {
		t.Helper()
		l.moved()
		if do(); l.moved() != want {
			t.Errorf("%s: moved %v, want %v", what, !want, want)
		}
		if l.moved() {
			t.Errorf("%s: moved twice", what)
		}
	}
	f("nothing", false, func() {})
	f("a change by the shell", true, func() { l.shell(`INSERT INTO users (id) VALUES (1);`) })
	f("a change that is rolled back", false, func() { l.shell(`BEGIN; INSERT INTO users (id) VALUES (2); ROLLBACK;`) })
	f("a read", false, func() { l.shell(`SELECT * FROM users;`) })
	f("a write of this process", true, func() {
		if err := other.Canary(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	f("a write of this outbox", true, func() { drain(t, l.Outbox) })
	f("a read of this outbox", false, func() { drain(t, l.Outbox) })
}

// TestSQLiteBusy: while a program holds the lock what is committed is read all the same,
// and what needs the lock gives up soon, by a word of its own.
func TestSQLiteBusy(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable, setOf("users", nil, "id"))
	l.shell(`INSERT INTO users (id) VALUES (1);`)
	writer, err := testkit.SQLite(l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.Do(`BEGIN IMMEDIATE; INSERT INTO users (id) VALUES (2);`); err != nil {
		t.Fatal(err)
	}
	rows, err := l.Read(t.Context(), 0, 100)
	if err != nil || len(rows) != 1 || string(rows[0].Data) != `[{"id":1}]` || rows[0].Writer != "" {
		t.Fatalf("read %+v, %v", rows, err)
	}
	ids := []int64{rows[0].ID}
	for what, f := range map[string]func() error{
		"taking out": func() error { return l.Done(t.Context(), ids) },
		"keeping":    func() error { return l.Keep(t.Context(), ids) },
		"a beat":     func() error { _, err := l.Beat(t.Context(), outbox.Beat{Fleet: "a"}); return err },
		"a canary":   func() error { return l.Canary(t.Context()) },
	} {
		if err := f(); !l.Busy(err) {
			t.Errorf("%s while the lock is held: %v", what, err)
		}
	}
	if _, err := l.Faults(t.Context(), []outbox.Set{setOf("users", nil, "id")}); err != nil {
		t.Errorf("looking at the triggers while the lock is held: %v", err)
	}
	// An installation is patient.
	installed := make(chan error, 1)
	go func() {
		script, err := l.Plan(context.Background(), []outbox.Set{setOf("users", []string{"city"}, "id")}, outbox.Options{})
		if err == nil {
			err = l.Apply(context.Background(), script)
		}
		installed <- err
	}()
	if _, err := writer.Do(`COMMIT;`); err != nil {
		t.Fatal(err)
	}
	if err := <-installed; err != nil {
		t.Errorf("installing behind a writer: %v", err)
	}
	if told := drain(t, l.Outbox); !strings.Contains(strings.Join(told, " "), `{"id":2}`) {
		t.Errorf("told %q", told)
	}
}

// TestSQLiteKeeps: rows that were kept stand by their ids, which are never given again.
func TestSQLiteKeeps(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable, setOf("users", nil, "id"))
	l.shell(`INSERT INTO users (id) VALUES (1), (2);`)
	rows, err := l.Read(t.Context(), 0, 1)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	first := rows[0].ID
	if err := errors.Join(l.Keep(t.Context(), []int64{first}), l.Keep(t.Context(), []int64{first})); err != nil {
		t.Fatal(err)
	}
	if size, err := l.Size(t.Context()); err != nil || size.Rows != 1 || size.Oldest < 0 || size.Oldest > time.Minute {
		t.Errorf("the outbox has %+v, %v", size, err)
	}
	drain(t, l.Outbox)
	l.shell(`INSERT INTO users (id) VALUES (3);`)
	rows, err = l.Read(t.Context(), 0, 10)
	if err != nil || len(rows) != 1 || rows[0].ID <= first+1 || rows[0].Age < 0 || rows[0].Age > time.Minute {
		t.Errorf("the next row is %+v, after %d, %v", rows, first, err)
	}
	if kept, err := l.Kept(t.Context(), 0, 10); err != nil || len(kept) != 1 || kept[0].ID != first || string(kept[0].Data) != `[{"id":1}]` {
		t.Errorf("kept: %+v, %v", kept, err)
	}
	if err := l.Expire(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if kept, _ := l.Kept(t.Context(), 0, 10); len(kept) != 1 {
		t.Error("what was just kept has expired")
	}
	l.shell(`UPDATE hearth_kept SET kept_at = kept_at - 7200;`)
	if err := l.Expire(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if kept, _ := l.Kept(t.Context(), 0, 10); len(kept) != 0 {
		t.Error("what was kept for two hours has not expired after one")
	}
	if err := l.Flush(t.Context(), []string{"user"}); err != nil {
		t.Fatal(err)
	}
	if rows, err = l.Read(t.Context(), rows[0].ID, 10); err != nil || len(rows) != 1 || rows[0].Set != outbox.Flush || string(rows[0].Data) != `["user"]` {
		t.Errorf("asked to remove a resource: %+v, %v", rows, err)
	}
}

// beat notes that the fleet drains.
func (l *lite) beat(fleet string) outbox.Pulse {
	l.tb.Helper()
	p, err := l.Beat(l.tb.Context(), outbox.Beat{Fleet: fleet, Instance: "i", Patience: time.Hour})
	if err != nil {
		l.tb.Fatal(err)
	}
	return p
}

// TestSQLiteRestored: a backup that is put in place by name is another file, and one that
// is written into the file has a lower beat.
func TestSQLiteRestored(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable, setOf("users", nil, "id"))
	if p := l.beat("a"); !p.Held || p.Number != 1 || p.Before != "" || p.Server == "" {
		t.Fatalf("the first beat finds %+v", p)
	}
	if p := l.beat("b"); p.Held || p.Fleet != "a" {
		t.Fatalf("another fleet's beat finds %+v", p)
	}
	backup := filepath.Join(filepath.Dir(l.path), "backup.db")
	l.shell(`VACUUM INTO '` + backup + `';`)
	l.shell(`INSERT INTO users (id) VALUES (1);`)
	drain(t, l.Outbox)
	before := l.beat("a")
	if before.Number != 2 || before.Before != before.Server {
		t.Fatalf("the second beat finds %+v", before)
	}

	l.moved()
	l.shell(`.restore ` + backup)
	if !l.moved() {
		t.Error("the file was restored, and has not moved")
	}
	if p := l.beat("a"); p.Number > before.Number || p.Server != before.Server {
		t.Errorf("after a restore into the file the beat is %+v, before %+v", p, before)
	}
	l.check(`INSERT INTO users (id) VALUES (1);`, `{"id":1}`)

	for range 5 {
		before = l.beat("a")
	}
	l.moved()
	if err := os.Rename(backup, l.path); err != nil {
		t.Fatal(err)
	}
	if !l.moved() || l.moved() {
		t.Error("another file stands there, which is to be noticed once")
	}
	if p := l.beat("a"); p.Number > before.Number || p.Server == before.Server {
		t.Errorf("after another file has taken the name the beat is %+v, before %+v", p, before)
	}
	l.check(`INSERT INTO users (id) VALUES (1);`, `{"id":1}`)
	l.moved()
	l.shell(`INSERT INTO users (id) VALUES (2);`)
	if !l.moved() {
		t.Error("a change of the new file is not noticed")
	}
}

// TestSQLiteFileInTrouble: a file that is gone is nobody's outbox, and is not made anew.
func TestSQLiteFileInTrouble(t *testing.T) {
	t.Parallel()
	l := newLite(t, usersTable, setOf("users", nil, "id"))
	l.moved()
	away := l.path + ".away"
	if err := os.Rename(l.path, away); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Moved(t.Context()); err == nil || l.Fault(err).Class != engine.FaultLost {
		t.Errorf("the file is gone: %v", err)
	}
	if err := l.Canary(t.Context()); err == nil || l.Fault(err).Class != engine.FaultLost {
		t.Errorf("a canary without a file: %v", err)
	}
	if _, err := os.Stat(l.path); err == nil {
		t.Error("the file was made anew")
	}
	if err := os.Rename(away, l.path); err != nil {
		t.Fatal(err)
	}
	l.check(`INSERT INTO users (id) VALUES (1);`, `{"id":1}`)
}

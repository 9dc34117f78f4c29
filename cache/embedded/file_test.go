package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/sqlitefile"
	"hearth/internal/testkit"
)

// set stores one item.
func (e *Tier) set(t *testing.T, key, value string) error {
	t.Helper()
	return errors.Join(e.Set(within(t), []shared.Item{{Key: key, Value: []byte(value)}}, 0)...)
}

// TestTheFileIsReplaced puts a backup in the place of the file while it is open.
func TestTheFileIsReplaced(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	store := memory.New(memory.Config{Budget: 1 << 20, LinkTimeout: time.Second})
	backup := New(filepath.Join(filepath.Dir(e.path), "backup.db"), time.Second, e.log, store, noReads{})
	must(t, backup.Open())
	must(t, backup.set(t, "k", `"of the backup"`))
	must(t, e.set(t, "k", `"before"`))
	must(t, e.set(t, "lost", `"before"`))
	must(t, e.Guard(within(t), "own", "w"))
	must(t, e.Unguard(within(t), "own", "w", []byte("2"), time.Hour, true))
	must(t, backup.set(t, "own", "1"))
	epoch := e.owner.Epoch()
	backup.Close()
	must(t, os.Rename(backup.path, e.path))
	testkit.Eventually(t, patience, "copies in memory do not count any more", func() bool { return e.owner.Epoch() != epoch })
	e.want(t, "k", `"of the backup"`)
	e.want(t, "lost", "")
	testkit.Eventually(t, patience, "it is told", func() bool { return e.Generation() == shared.Generation{Number: 1, Forgotten: 1} })
	must(t, e.Outdate(within(t), []shared.Outdated{{Key: "own", Writer: "w"}}))
	e.want(t, "own", "") // what the writer has put is not in this file
	must(t, e.set(t, "k", `"after"`))
	e.want(t, "k", `"after"`)
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(e.path + suffix); err != nil {
			t.Errorf("the new file has no %s of its own: %v", suffix, err)
		}
	}
}

// TestTheFileIsGone: nothing is acknowledged that would be lost, and it heals.
func TestTheFileIsGone(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	must(t, e.set(t, "k", `"kept"`))
	must(t, os.Rename(e.path, e.path+".away"))
	if err := e.set(t, "k", `"lost"`); !errors.Is(err, shared.ErrAway) || !errors.Is(err, sqlitefile.ErrGone) {
		t.Errorf("Set into no file: got %v, want ErrAway because it is gone", err)
	}
	if e.Up() == nil {
		t.Error("Up is nil without a file")
	}
	must(t, os.Rename(e.path+".away", e.path))
	testkit.Eventually(t, patience, "the file is written again", func() bool { return e.Trouble() == nil })
	e.want(t, "k", `"kept"`)
	must(t, e.set(t, "k", `"after"`))
}

// TestTheFileBecomesReadOnly: it is read still.
func TestTheFileBecomesReadOnly(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	must(t, e.set(t, "k", `"kept"`))
	end := testkit.ReadOnly(t, filepath.Dir(e.path))
	if err := e.set(t, "k", `"x"`); !errors.Is(err, shared.ErrAway) {
		t.Errorf("Set into a read-only file: got %v, want ErrAway", err)
	}
	if e.Up() != nil || e.Trouble() == nil {
		t.Errorf("Up is %v, Trouble %v, want that it can be read and not written", e.Up(), e.Trouble())
	}
	e.want(t, "k", `"kept"`)
	end()
	testkit.Eventually(t, patience, "the file is written again", func() bool { return e.Trouble() == nil })
	must(t, e.set(t, "k", `"after"`))
}

// TestTheFileIsFull: what does not fit is not acknowledged.
func TestTheFileIsFull(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	must(t, e.set(t, "k", `"kept"`))
	limit := func(pages string) {
		t.Helper()
		// Under the lock of the writer's pool nobody else uses its connection: the queue is empty.
		if _, err := e.writer.conn.ExecContext(within(t), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("4")
	if err := e.set(t, "large", `"`+string(make([]byte, 1<<16))+`"`); !errors.Is(err, shared.ErrAway) {
		t.Errorf("Set into a full file: got %v, want ErrAway", err)
	}
	e.want(t, "k", `"kept"`)
	limit("10000")
	testkit.Eventually(t, patience, "the file is written again", func() bool { return e.Trouble() == nil })
	must(t, e.set(t, "large", `"x"`))
}

// TestTheLockIsRemoved: a lock whose file is gone keeps nobody out, so it is taken anew.
func TestTheLockIsRemoved(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	must(t, os.Remove(e.path+lockSuffix))
	must(t, e.set(t, "k", `"x"`))
	if f, err := lockFile(e.path + lockSuffix); err == nil {
		_ = f.Close()
		t.Error("a second process gets the lock")
	}
	must(t, os.Remove(e.path+lockSuffix))
	other, err := lockFile(e.path + lockSuffix)
	must(t, err)
	testkit.Eventually(t, patience, "the tier notices that another has the lock", func() bool { return e.Trouble() != nil })
	if err := e.set(t, "k", `"y"`); !errors.Is(err, shared.ErrAway) {
		t.Errorf("Set while another process has the lock: got %v, want ErrAway", err)
	}
	must(t, other.Close())
	testkit.Eventually(t, patience, "the file is written again", func() bool { return e.Trouble() == nil })
}

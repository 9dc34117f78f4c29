package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

func TestEmbeddedSurvivesReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a name with ? and #.db")
	cfg := testConfig()
	cfg.Embedded = path
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	book := newLedger("1", `{"id":1}`)
	d := newDesk(t, first, book)
	d.wantRead("1", `{"id":1}`, TierSource)
	x := fixture{first, t, "item:1"}
	x.set(`{"id":1}`)
	for range 3 {
		if _, err := first.Increment(within(t), "n"); err != nil {
			t.Fatal(err)
		}
	}
	fixture{first, t, "guarded"}.set("1")
	fixture{first, t, "guarded"}.guard("dies with the process")
	first.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}

	d.Cache = open(t, cfg)
	d.wantRead("1", `{"id":1}`, TierEmbedded)
	x.Cache = d.Cache
	x.want(`{"id":1}`)
	fixture{d.Cache, t, "guarded"}.want("nothing") // never the value from before the write
	if n, err := d.Increment(within(t), "n"); n != 4 || err != nil {
		t.Errorf("counting on: got %d, %v, want 4", n, err)
	}
}

func TestEmbeddedIsLocked(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Embedded = filepath.Join(t.TempDir(), "tier.db")
	first, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "another process has it open") || !strings.Contains(err.Error(), "embedded.path") {
		t.Errorf("opening a file that is open: got %v, want what to do", err)
	}
	first.Close()
	second, err := New(cfg)
	if err != nil {
		t.Fatalf("opening after the first was closed: %v", err)
	}
	second.Close()
	cfg.Embedded = filepath.Join(t.TempDir(), "no", "such", "directory.db")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), cfg.Embedded) {
		t.Errorf("opening in no directory: got %v, want the path named", err)
	}
}

func TestEmbeddedPurgesWhatHasExpired(t *testing.T) {
	t.Parallel()
	c := openFile(t)
	e := c.tier.(*embedded)
	const rows = purgeAtOnce + 500
	var dead []row
	for i := range rows {
		dead = append(dead, row{key: fmt.Sprint("dead:", i), value: []byte("1"), expires: 1})
	}
	if err := e.work.queue(dead...).wait(within(t)); err != nil {
		t.Fatal(err)
	}
	fixture{c, t, "dead:1"}.want("nothing") // expired, though it may still be there
	fixture{c, t, "alive"}.set("1")
	x := fixture{c, t, "later"}
	x.acquire("t", "")
	x.fill("t", "2")
	testkit.Eventually(t, patience, "all expired rows are deleted", func() bool {
		var n int
		if err := e.db.QueryRow(`SELECT count(*) FROM entries WHERE expires > 0 AND expires <= 1`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	fixture{c, t, "alive"}.want("1")
	x.want("2")
}

// stall keeps the file's writer from committing until release is called.
func stall(t *testing.T, c *Cache) (release func()) {
	t.Helper()
	conn, err := c.tier.(*embedded).db.Conn(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(within(t), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := conn.ExecContext(within(t), "COMMIT"); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// standingOf looks at a placeholder without pruning or writing.
func standingOf(c *Cache, key string) (lease string, guards int) {
	sh := c.tier.(*embedded).shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.held[key]; p != nil {
		return p.lease, len(p.guards)
	}
	return "", 0
}

// TestEmbeddedGuardJoinedWhileAnotherIsRemoved takes the moment at which the
// first writer's row is on its way to the file and the second joins its guard.
func TestEmbeddedGuardJoinedWhileAnotherIsRemoved(t *testing.T) {
	t.Parallel()
	c := openFile(t)
	e, x := c.tier.(*embedded), fixture{c, t, "k"}
	x.guard("a")
	seen := e.shard("k").held["k"] // as unguard of a has it
	x.guard("b")
	e.settle("k", seen, "a")
	if _, n := standingOf(c, "k"); n != 1 {
		t.Errorf("%d guards stand, want that of the second writer", n)
	}
	if !x.renew("b") {
		t.Error("the removal of one guard took another with it")
	}
	x.unguard("b", "2")
	x.want("nothing") // it was shared
}

func TestEmbeddedRemovalVoidsLeasesBeforeItsRow(t *testing.T) {
	t.Parallel()
	c := openFile(t)
	x := fixture{c, t, "k"}
	x.acquire("slow", "")
	release := stall(t, c)
	done := make(chan error, 1)
	ctx := within(t)
	go func() { done <- c.tier.remove(ctx, []string{"k"}) }()
	testkit.Eventually(t, patience, "the lease is void", func() bool { lease, _ := standingOf(c, "k"); return lease == "" })
	if x.fill("slow", `"old"`) {
		t.Error("a value loaded before the removal was stored")
	}
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	x.want("nothing")
}

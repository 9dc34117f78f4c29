package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// noReads are the reads of a cache that nobody reads from.
type noReads struct{}

func (noReads) Bind(*memory.Owner, string, int64) {}
func (noReads) Arrived(*memory.Owner, string)     {}
func (noReads) Changed(string)                    {}
func (noReads) Wake(string)                       {}

func openTier(t *testing.T) *Tier {
	t.Helper()
	store := memory.New(memory.Config{Budget: 1 << 20, LinkTimeout: time.Second})
	e := New(filepath.Join(t.TempDir(), "tier.db"), 10*time.Second, slog.New(slog.DiscardHandler), store, noReads{})
	t.Cleanup(e.Close)
	if err := e.Open(); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestMemoryIsTidied: memory has no goroutine of its own. Records that ended long ago would
// be taken for fresh ones, and memory that a reload has left would stay.
func TestMemoryIsTidied(t *testing.T) {
	t.Parallel()
	store := memory.New(memory.Config{Budget: 1 << 20, LinkTimeout: time.Second})
	e := New(filepath.Join(t.TempDir(), "tier.db"), 10*time.Second, slog.New(slog.DiscardHandler), store, noReads{})
	t.Cleanup(e.Close)
	calls := make(chan struct{})
	e.tidy = func() {
		select {
		case calls <- struct{}{}:
		case <-e.stop:
		}
	}
	must(t, e.Open())
	for range 2 {
		select {
		case <-calls:
		case <-time.After(patience):
			t.Fatal("memory is not tidied")
		}
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// want checks what a key holds, "" for nothing.
func (e *Tier) want(t *testing.T, key, want string) {
	t.Helper()
	got, err := e.Get(within(t), key)
	if err != nil || string(got.Data) != want {
		t.Errorf("%s holds %q in state %d (%v), want %q", key, got.Data, got.State, err, want)
	}
}

// must fails the test on an error of a step.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatHasExpiredIsPurged(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	const rows = purgeBatch + 500
	var dead []row
	for i := range rows {
		dead = append(dead, row{key: fmt.Sprint("dead:", i), value: []byte("1"), expires: 1})
	}
	must(t, e.writer.queue(dead...).wait(within(t)))
	e.want(t, "dead:1", "") // expired, though it may still be there
	if errs := e.Set(within(t), []shared.Item{{Key: "alive", Value: []byte("1")}}, 0); errs != nil {
		t.Fatal(errs)
	}
	if _, err := e.Acquire(within(t), "later", "t", nil); err != nil {
		t.Fatal(err)
	}
	if ok, err := e.Fill(within(t), "later", "t", []byte("2"), time.Hour); !ok || err != nil {
		t.Fatalf("filled %v, %v", ok, err)
	}
	testkit.Eventually(t, patience, "all expired rows are deleted", func() bool {
		var n int
		must(t, e.db.QueryRow(`SELECT count(*) FROM entries WHERE expires > 0 AND expires <= 1`).Scan(&n))
		return n == 0
	})
	e.want(t, "alive", "1")
	e.want(t, "later", "2")
}

// stall keeps the file's writer from committing until release is called.
func (e *Tier) stall(t *testing.T) (release func()) {
	t.Helper()
	conn, err := e.db.Conn(within(t))
	must(t, err)
	exec := func(statement string) {
		t.Helper()
		_, err := conn.ExecContext(within(t), statement)
		must(t, err)
	}
	exec("BEGIN IMMEDIATE")
	return func() {
		t.Helper()
		exec("COMMIT")
		must(t, conn.Close())
	}
}

// standing looks at a placeholder without pruning or writing.
func (e *Tier) standing(key string) (lease string, guards int) {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.placeholders[key]; p != nil {
		return p.lease, len(p.guards)
	}
	return "", 0
}

// TestAGuardIsJoinedWhileAnotherIsRemoved takes the moment at which the first
// writer's row is on its way to the file and the second joins its guard.
func TestAGuardIsJoinedWhileAnotherIsRemoved(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	must(t, e.Guard(within(t), "k", "a"))
	seen := e.shard("k").placeholders["k"] // as Unguard of a has it
	must(t, e.Guard(within(t), "k", "b"))
	e.removeToken("k", seen, "a")
	if _, n := e.standing("k"); n != 1 {
		t.Errorf("%d guards stand, want that of the second writer", n)
	}
	if got := e.RenewGuards(within(t), []shared.HeldGuard{{Key: "k", Token: "b"}})[0]; got.State != shared.GuardStood || got.Err != nil {
		t.Errorf("the removal of one guard took another with it: %+v", got)
	}
	must(t, e.Unguard(within(t), "k", "b", []byte("2"), time.Hour, false))
	e.want(t, "k", "") // it was shared
}

func TestARemovalVoidsLeasesBeforeItsRow(t *testing.T) {
	t.Parallel()
	e := openTier(t)
	if _, err := e.Acquire(within(t), "k", "slow", nil); err != nil {
		t.Fatal(err)
	}
	release := e.stall(t)
	done := make(chan error, 1)
	ctx := within(t)
	go func() { done <- e.Remove(ctx, []string{"k"}, true) }()
	testkit.Eventually(t, patience, "the lease is void", func() bool { lease, _ := e.standing("k"); return lease == "" })
	if ok, err := e.Fill(within(t), "k", "slow", []byte(`"old"`), time.Hour); ok || err != nil {
		t.Errorf("a value loaded before the removal was stored: %v, %v", ok, err)
	}
	release()
	must(t, <-done)
	e.want(t, "k", "")
}

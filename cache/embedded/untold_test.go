package embedded

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// toldReads are Reads that note of which keys they are told, and may be slow to hear it.
type toldReads struct {
	noReads
	mu   sync.Mutex
	told map[string]int
	slow chan struct{} // nil: not slow
}

func (r *toldReads) Changed(key string) {
	r.mu.Lock()
	r.told[key]++
	slow := r.slow
	r.mu.Unlock()
	if slow != nil {
		<-slow
	}
}

func (r *toldReads) of(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[key]
}

func openTold(t *testing.T) (*Tier, *toldReads) {
	t.Helper()
	r := &toldReads{told: map[string]int{}}
	e := New(filepath.Join(t.TempDir(), "tier.db"), 10*time.Second, slog.New(slog.DiscardHandler), memory.New(memory.Config{Budget: 1 << 20, LinkTimeout: time.Second}), r)
	t.Cleanup(e.Close)
	must(t, e.Open())
	return e, r
}

// TestALeftChangeIsToldBehindItsCommit: the caller is out of time, and has memory told. A
// reader that comes before the commit reads the row of before; it would be kept for long.
func TestALeftChangeIsToldBehindItsCommit(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(ctx context.Context, e *Tier) error{
		"items": func(ctx context.Context, e *Tier) error {
			return e.Set(ctx, []shared.Item{{Key: "k", Value: []byte(`2`)}}, 0)[0]
		},
		"removed": func(ctx context.Context, e *Tier) error { return e.Remove(ctx, []string{"k"}, true) },
		"refreshed": func(ctx context.Context, e *Tier) error {
			expires, ok, err := e.Claim(ctx, "k", "token", []byte(`1`))
			if err != nil || !ok {
				t.Errorf("claiming: %v, %v", ok, err)
			}
			_, err = e.Refresh(ctx, "k", "token", []byte(`1`), expires, []byte(`2`), time.Hour)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, r := openTold(t)
			must(t, e.SetFor(within(t), "k", []byte(`1`), time.Hour))
			must(t, e.writer.queue().wait(within(t)))
			// Another program has the file locked.
			lock, err := e.db.Conn(within(t))
			must(t, err)
			defer lock.Close()
			_, err = lock.ExecContext(within(t), "BEGIN IMMEDIATE")
			must(t, err)
			ctx, cancel := context.WithCancel(within(t))
			left := make(chan error)
			go func() { left <- change(ctx, e) }()
			testkit.Eventually(t, patience, "the change is on its way", func() bool { return untold(e, "k") == 1 })
			cancel()
			if err := <-left; err == nil {
				t.Fatal("the change was made although the file was locked")
			}
			if untold(e, "k") != 1 {
				t.Error("counted as told, and it is not even made")
			}
			before := r.of("k")
			_, err = lock.ExecContext(within(t), "ROLLBACK")
			must(t, err)
			testkit.Eventually(t, patience, "memory is told once more", func() bool { return r.of("k") == before+1 && untold(e, "k") == 0 })
			if got, err := e.Get(within(t), "k"); err != nil || string(got.Data) == `1` {
				t.Errorf("there is %+v, %v; the change was to be made", got, err)
			}
		})
	}
}

func untold(e *Tier, key string) int {
	sh := e.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.untold
}

// TestSettle: what a read can see is settled when memory was told of it.
func TestSettle(t *testing.T) {
	t.Parallel()
	e, r := openTold(t)
	if !e.Settle(within(t), "k") {
		t.Error("nothing has changed, and is not settled")
	}
	slow := make(chan struct{})
	r.mu.Lock()
	r.slow = slow
	r.mu.Unlock()
	made := make(chan []error)
	go func() { made <- e.Set(within(t), []shared.Item{{Key: "k", Value: []byte(`1`)}}, 0) }()
	testkit.Eventually(t, patience, "the row is there", func() bool {
		got, err := e.Get(within(t), "k")
		return err == nil && got.State == shared.Value
	})
	if e.Settle(within(t), "k") {
		t.Error("settled, although memory is just being told")
	}
	close(slow)
	if errs := <-made; errs != nil {
		t.Fatal(errs)
	}
	if !e.Settle(within(t), "k") {
		t.Error("not settled, although all was told")
	}
	over, cancel := context.WithCancel(within(t))
	cancel()
	if e.Settle(over, "k") {
		t.Error("settled without having been asked")
	}
}

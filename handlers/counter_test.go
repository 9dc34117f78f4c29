package handlers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hearth/cache"
)

// fakeCounter counts in memory.
type fakeCounter struct {
	n, reads atomic.Int64
	err      error
	fault    any // what Count panics with
}

func (b *fakeCounter) Increment(context.Context, string) (int64, error) { return b.n.Add(1), nil }

func (b *fakeCounter) Count(context.Context, string) (int64, error) {
	b.reads.Add(1)
	if b.fault != nil {
		panic(b.fault)
	}
	return b.n.Load(), b.err
}

// newWorkGroups returns the work groups of a counter, and what ends its process.
func newWorkGroups(b *fakeCounter, work time.Duration) (*workGroups, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{counters: b, deps: Deps{Context: ctx}, config: Config{RequestTimeout: time.Minute}}
	return &workGroups{Counter: Counter{Key: "n", Work: work}, server: s}, stop
}

// TestWorkGroups: requests that are counted within a moment share the end of their work and
// the reading of the count. Nobody works for less than is configured, nor for more than
// that moment longer, and every request reads a count that includes it.
func TestWorkGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work = 100 * time.Millisecond
		var b fakeCounter
		all, stop := newWorkGroups(&b, work)
		defer stop()
		var running sync.WaitGroup
		request := func(after time.Duration, want string) {
			running.Go(func() {
				<-time.After(after) // by the bubble's clock
				begun := time.Now()
				_, _ = b.Increment(t.Context(), "n")
				body, err := all.work()
				if got := string(body); got != want || err != nil {
					t.Errorf("the request after %v: got %s, %v, want %s", after, got, err, want)
				}
				if took := time.Since(begun); took < work || took > work+workGrain {
					t.Errorf("the request after %v took %v", after, took)
				}
			})
		}
		request(0, `{"current_requests":5}`)
		request(workGrain/2, `{"current_requests":5}`)
		request(workGrain-1, `{"current_requests":5}`)
		request(workGrain+1, `{"current_requests":6}`)
		request(work, `{"current_requests":6}`)
		request(work+workGrain+1, `{"current_requests":6}`)
		running.Wait()
		if n := b.reads.Load(); n != 4 {
			t.Errorf("the count was read %d times, want 4", n)
		}
	})
}

// TestWorkGroupsOfAProcessThatStops: work ends at once, and who is counted after the count
// was read for the others is not told theirs.
func TestWorkGroupsOfAProcessThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b fakeCounter
		all, stop := newWorkGroups(&b, time.Hour)
		var running sync.WaitGroup
		for range 3 {
			running.Go(func() {
				_, _ = b.Increment(t.Context(), "n")
				if body, err := all.work(); string(body) != `{"current_requests":3}` || err != nil {
					t.Errorf("got %s, %v", body, err)
				}
			})
		}
		synctest.Wait()
		begun := time.Now()
		stop()
		running.Wait()
		_, _ = b.Increment(t.Context(), "n")
		if body, err := all.work(); string(body) != `{"current_requests":4}` || err != nil {
			t.Errorf("after the others: got %s, %v", body, err)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestWorkGroupsThatFail: a count that cannot be read is everybody's error, and so is a
// panic, which ends the request that met it as it does any other.
func TestWorkGroupsThatFail(t *testing.T) {
	f := func(name string, b *fakeCounter, want error) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, stop := newWorkGroups(b, time.Second)
				defer stop()
				var running sync.WaitGroup
				var panics atomic.Int64
				for range 3 {
					running.Go(func() {
						defer func() {
							if recover() != nil {
								panics.Add(1)
							}
						}()
						if body, err := all.work(); !errors.Is(err, want) || body != nil {
							t.Errorf("got %s, %v, want %v", body, err, want)
						}
					})
				}
				running.Wait()
				if n := panics.Load(); n > 1 || (n == 1) != (b.fault != nil) {
					t.Errorf("%d requests panicked", n)
				}
			})
		})
	}
	f("an error", &fakeCounter{err: fmt.Errorf("%w: a test", cache.ErrTimeout)}, cache.ErrTimeout)
	f("a panic", &fakeCounter{fault: "a test"}, cache.ErrUnavailable)
}

// TestNoWork: without work there is nothing to share, and nothing to wait for.
func TestNoWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b fakeCounter
		all, stop := newWorkGroups(&b, 0)
		defer stop()
		begun := time.Now()
		for want := range 3 {
			_, _ = b.Increment(t.Context(), "n")
			if body, err := all.work(); string(body) != fmt.Sprintf(`{"current_requests":%d}`, want+1) || err != nil {
				t.Errorf("got %s, %v", body, err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

package cache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearth/cache/memory"
	"hearth/internal/testkit"
)

func TestALine(t *testing.T) {
	l := newQueue(1, patience, memory.NewClock())
	if err := l.enter(within(t)); err != nil || l.tryEnter() {
		t.Fatalf("entering: %v, and then there is another place", err)
	}
	entered := make(chan error)
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.enter(ctx); !errors.Is(err, ErrTimeout) {
		t.Errorf("out of time: got %v, want ErrTimeout", err)
	}
	l.leave()
	if err := <-entered; err != nil {
		t.Errorf("the one who waited: %v", err)
	}
	l.leave()
	if l.queued.Load() != 0 {
		t.Error("somebody is said to wait still")
	}
}

// TestALineUnderOverload offers three times what can be served. Who is refused
// is refused at once, and who was let into the queue is served.
func TestALineUnderOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, wait, work = 4, time.Second, 20 * time.Millisecond
		l := newQueue(places, wait, memory.NewClock())
		var mu sync.Mutex
		var all sync.WaitGroup
		served, refused, late := 0, 0, 0
		for range 5000 {
			all.Go(func() {
				came := time.Now()
				err := l.enter(t.Context())
				mu.Lock()
				switch {
				case err == nil:
					served++
				case !errors.Is(err, ErrOverload):
					t.Errorf("got %v", err)
				case time.Since(came) > 0:
					late++
				default:
					refused++
				}
				mu.Unlock()
				if err == nil {
					<-time.After(work)
					l.leave()
				}
			})
			<-time.After(work / places / 3)
		}
		all.Wait()
		if served < 5000/3 || late > 0 || refused == 0 {
			t.Errorf("%d of 5000 were served, %d refused at once, %d after a wait", served, refused, late)
		}
		began := time.Now()
		for range 10 * places { // a burst after a pause finds an empty queue
			all.Go(func() {
				if err := l.enter(t.Context()); err != nil {
					t.Errorf("the overload is over, and one is refused: %v", err)
					return
				}
				<-time.After(work)
				l.leave()
			})
		}
		all.Wait()
		if took := time.Since(began); took > wait {
			t.Errorf("ten rounds of work took %v", took)
		}
	})
}

// TestALineThatHangs: nobody leaves any more.
func TestALineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = time.Second
		l := newQueue(1, wait, memory.NewClock())
		if err := l.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := l.enter(t.Context()); !errors.Is(err, ErrOverload) {
				t.Errorf("after its wait: got %v, want ErrOverload", err)
			}
		})
		<-time.After(wait * 3 / 4)
		came := time.Now()
		if err := l.enter(t.Context()); !errors.Is(err, ErrOverload) || time.Since(came) > 0 {
			t.Errorf("behind one who waits in vain: got %v after %v, want a refusal at once", err, time.Since(came))
		}
		all.Wait()
	})
}

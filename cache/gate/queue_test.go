package gate

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

func TestAQueue(t *testing.T) {
	l := newQueue(1, patience, memory.NewClock())
	if err := l.enter(within(t)); err != nil || l.tryEnter() {
		t.Fatalf("entering: %v, and then there is another place", err)
	}
	entered := make(chan error)
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.enter(ctx); !errors.Is(err, shared.ErrTimeout) {
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

// TestAQueueUnderOverload offers three times what can be served. Who is refused
// is refused at once, and who was let into the queue is served.
func TestAQueueUnderOverload(t *testing.T) {
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
				case !errors.Is(err, shared.ErrOverload):
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

// TestAQueueThatHangs: nobody leaves any more.
func TestAQueueThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = time.Second
		l := newQueue(1, wait, memory.NewClock())
		if err := l.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := l.enter(t.Context()); !errors.Is(err, shared.ErrOverload) {
				t.Errorf("after its wait: got %v, want ErrOverload", err)
			}
		})
		<-time.After(wait * 3 / 4)
		came := time.Now()
		if err := l.enter(t.Context()); !errors.Is(err, shared.ErrOverload) || time.Since(came) > 0 {
			t.Errorf("behind one who waits in vain: got %v after %v, want a refusal at once", err, time.Since(came))
		}
		all.Wait()
	})
}

// TestAQueueChangesItsSize: places come at once, and go when they are free, and
// however often their number changes, just as many can be at work.
func TestAQueueChangesItsSize(t *testing.T) {
	l := newQueue(2, patience, memory.NewClock())
	fill := func(want int) {
		t.Helper()
		for n := range want {
			if !l.tryEnter() {
				t.Fatalf("there are %d places, want %d", n, want)
			}
		}
		if l.tryEnter() {
			t.Fatalf("there are more than %d places", want)
		}
	}
	fill(2)
	l.resize(5)
	fill(3)
	entered := make(chan error)
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	l.resize(1)
	for range 4 { // all but one of those at work end; nobody gets their places
		l.leave()
	}
	select {
	case err := <-entered:
		t.Fatalf("the one who waits was let in beside another: %v", err)
	default:
	}
	l.leave()
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	go func() { entered <- l.enter(within(t)) }()
	testkit.Eventually(t, patience, "one waits", func() bool { return l.queued.Load() == 1 })
	l.resize(3) // which is a place for it, and one more
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	fill(1)
}

// TestAPlaceIsNotLost when whoever waits for it gives up in the moment in which it
// is given: many times over, and then all places are there.
func TestAPlaceIsNotLost(t *testing.T) {
	l := newQueue(2, patience, memory.NewClock())
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 2000 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%3*n)*time.Microsecond)
				if l.enter(ctx) == nil {
					l.leave()
				}
				cancel()
			}
		})
	}
	all.Wait()
	free := 0
	for l.tryEnter() {
		free++
	}
	if free != 2 {
		t.Errorf("there are %d places, want 2", free)
	}
	if l.waiters.Len() != 0 || l.queued.Load() != 0 {
		t.Error("somebody is left in the queue")
	}
}

// TestAChangedWaitHoldsForThoseWhoCome.
func TestAChangedWaitHoldsForThoseWhoCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newQueue(1, time.Hour, memory.NewClock())
		if !l.tryEnter() {
			t.Fatal("no place")
		}
		l.wait.Store(int64(time.Second))
		began := time.Now()
		if err := l.enter(t.Context()); !errors.Is(err, shared.ErrOverload) || time.Since(began) != time.Second {
			t.Errorf("got %v after %v, want ErrOverload after a second", err, time.Since(began))
		}
	})
}

// patience bounds every wait of these tests.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

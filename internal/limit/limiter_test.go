package limit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets rueidis close what a cluster's new topology needs no more: it does so
// five seconds later, unannounced.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

var errAway = errors.New("nobody at home")

// far is a store at some distance, which counts the calls and can go away. Its
// clock may be ahead of the instances'.
type far struct {
	*LocalStore
	delay func() time.Duration
	calls atomic.Int64
	away  atomic.Bool
}

func newFar() *far {
	return &far{LocalStore: NewLocalStore(nil), delay: func() time.Duration { return rand.N(2 * time.Millisecond) }}
}

func (f *far) TakePermits(ctx context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	f.calls.Add(1)
	wait(ctx, f.delay())
	if f.away.Load() {
		return Grant{}, errAway
	}
	g, err := f.LocalStore.TakePermits(ctx, key, rate, burst, want)
	wait(ctx, f.delay())
	return g, err
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// windows counts admissions by the window of the store's clock in which they
// were decided.
type windows struct {
	clock *LocalStore
	size  int64
	mu    sync.Mutex
	all   map[int64]int
}

func (w *windows) admit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all[w.clock.ms()/w.size]++
}

// check compares all windows but the first and the last, which are cut.
func (w *windows) check(t *testing.T, least, most int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	first, last := int64(1<<62), int64(0)
	for n := range w.all {
		first, last = min(first, n), max(last, n)
	}
	for n, got := range w.all {
		if got > most || got < least && n != first && n != last {
			t.Errorf("window %d of %d to %d admitted %d, want %d to %d", n, first, last, got, least, most)
		}
	}
}

// fleet is several instances with one store. Call it in a bubble.
func fleet(t *testing.T, n int, cfg Config) []*Limiter {
	var all []*Limiter
	for range n {
		l := New(cfg)
		l.Open()
		t.Cleanup(l.Close)
		all = append(all, l)
	}
	return all
}

// offer asks every instance perSecond times a second, evenly, until ctx ends.
func offer(ctx context.Context, all []*Limiter, subject string, perSecond int, admitted func()) *sync.WaitGroup {
	var clients sync.WaitGroup
	for _, l := range all {
		clients.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for due := 0; ctx.Err() == nil; {
				due += perSecond
				for ; due >= 1000; due -= 1000 {
					clients.Go(func() {
						d := l.Try([]byte(subject))
						if d.Outcome != Admitted {
							d = l.Take(ctx, []byte(subject))
						}
						if d.Outcome == Admitted {
							admitted()
						}
					})
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	return &clients
}

// TestAFleetKeepsItsRate: four instances, four times the rate.
func TestAFleetKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		all := fleet(t, 4, Config{Name: "api", Rate: Rate{5000, time.Second}, Store: store})
		w := &windows{clock: store.LocalStore, size: 1000, all: map[int64]int{}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		offer(ctx, all, "", 5000, w.admit).Wait()
		w.check(t, 4900, 5000)
		if calls := store.calls.Load(); calls > 100_000/50 {
			t.Errorf("%d calls for 100,000 decisions, want at most 0.02 each", calls)
		}
	})
}

// TestTheRateIsReachedWithoutExcess: what is offered is just the rate, so no
// instance may sit on permits that another one needs.
func TestTheRateIsReachedWithoutExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		all := fleet(t, 4, Config{Name: "api", Rate: Rate{2000, time.Second}, Store: store})
		w := &windows{clock: store.LocalStore, size: 1000, all: map[int64]int{}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		offer(ctx, all, "", 500, w.admit).Wait()
		w.check(t, 1800, 2000)
	})
}

// TestBurstShapesTheRelease: no more than burst at once, the rest evenly.
func TestBurstShapesTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		all := fleet(t, 2, Config{Name: "api", Rate: Rate{1000, time.Second}, Burst: 100, Store: store})
		var fine = &windows{clock: store.LocalStore, size: 100, all: map[int64]int{}}
		w := &windows{clock: store.LocalStore, size: 1000, all: map[int64]int{}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		offer(ctx, all, "", 4000, func() { w.admit(); fine.admit() }).Wait()
		w.check(t, 900, 1000)
		fine.check(t, 0, 230) // the burst, a tenth of the second, and what was taken shortly before
	})
}

// TestTheEndOfAnExcess: twice the rate for a while changes nothing for whoever
// comes after it.
func TestTheEndOfAnExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{100, time.Second}, Store: newFar()})[0]
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		offer(ctx, []*Limiter{l}, "", 200, func() {}).Wait()
		if l.Denied() == 0 {
			t.Error("nothing was denied")
		}
		wait(t.Context(), untilWindowEnds(time.Second)+time.Millisecond)
		for i := range 100 {
			if d := l.Take(t.Context(), nil); d.Outcome != Admitted {
				t.Fatalf("request %d of the next window: %+v", i, d)
			}
		}
	})
}

func TestADenialSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{3, time.Minute}, Store: newFar()})[0]
		wait(t.Context(), untilWindowEnds(time.Minute)+time.Second)
		for left := int64(2); left >= 0; left-- {
			d := l.Take(t.Context(), []byte("a"))
			if d.Outcome != Admitted || d.Remaining != left || Seconds(d.Reset) != 59 {
				t.Fatalf("got %+v, want %d left for 59 s", d, left)
			}
			if got, want := string(l.AppendState(nil, d)), fmt.Sprintf(`"api";r=%d;t=59`, left); got != want {
				t.Errorf("RateLimit: %s, want %s", got, want)
			}
		}
		d := l.Take(t.Context(), []byte("a"))
		if d.Outcome != Denied || Seconds(d.Retry) != 59 {
			t.Fatalf("got %+v, want a denial for 59 s", d)
		}
		if got, want := l.Policy(), `"api";q=3;w=60`; got != want {
			t.Errorf("RateLimit-Policy: %s, want %s", got, want)
		}
		if d := l.Take(t.Context(), []byte("b")); d.Outcome != Admitted {
			t.Errorf("somebody else: %+v", d)
		}
		wait(t.Context(), d.Retry)
		if d := l.Take(t.Context(), []byte("a")); d.Outcome != Admitted {
			t.Errorf("after that time: %+v", d)
		}
		if n := l.Denied(); n != 1 {
			t.Errorf("%d denials were counted, want 1", n)
		}
	})
}

// TestIdlePermitsGoBack: what one instance has taken for a burst that is over,
// another one can spend in the same window.
func TestIdlePermitsGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		all := fleet(t, 2, Config{Name: "api", Rate: Rate{1000, time.Minute}, Store: store})
		wait(t.Context(), untilWindowEnds(time.Minute)+time.Second)
		spent := 0
		for range 300 {
			if all[0].Take(t.Context(), nil).Outcome == Admitted {
				spent++
			}
		}
		wait(t.Context(), time.Second)
		for range 1000 {
			if all[1].Take(t.Context(), nil).Outcome == Admitted {
				spent++
			}
		}
		if spent != 1000 {
			t.Errorf("%d were admitted in one window, want 1000", spent)
		}
	})
}

// TestManyClientsFewPermits: each has its own count, and one that comes once
// costs one call.
func TestManyClientsFewPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		store.delay = func() time.Duration { return 0 }
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{5, time.Minute}, Store: store})[0]
		wait(t.Context(), untilWindowEnds(time.Minute)+time.Second)
		for i := range 2000 {
			admitted := 0
			for range 7 {
				if l.Take(t.Context(), fmt.Append(nil, "client ", i)).Outcome == Admitted {
					admitted++
				}
			}
			if admitted != 5 {
				t.Fatalf("client %d was admitted %d times, want 5", i, admitted)
			}
		}
		if n := l.Denied(); n != 4000 {
			t.Errorf("%d denials, want 4000", n)
		}
		wait(t.Context(), 3*time.Minute)
		synctest.Wait()
		for i := range l.subjects.shards {
			if n := len(l.subjects.shards[i].buckets); n != 0 {
				t.Fatalf("%d buckets of clients that are gone are left in a shard", n)
			}
		}
	})
}

// TestTheStoreGoesAway: each instance goes on by itself, from the edge of a
// window, and back from another one.
func TestTheStoreGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		log := &strings.Builder{}
		all := fleet(t, 2, Config{
			Name: "api", Rate: Rate{1000, time.Second}, LocalRate: Rate{100, time.Second}, Store: store,
			Log: slog.New(slog.NewTextHandler(&locked{w: log}, nil)),
		})
		w := &windows{clock: store.LocalStore, size: 1000, all: map[int64]int{}}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		clients := offer(ctx, all, "", 1000, w.admit)
		wait(ctx, 2500*time.Millisecond)
		gone := store.ms() / 1000
		store.away.Store(true)
		wait(ctx, 4*time.Second)
		back := store.ms() / 1000
		store.away.Store(false)
		clients.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		for n, got := range w.all {
			least, most := 900, 1000
			switch {
			case n == gone, n == back, n == back+1, n == back+2: // cut, or on the way back
				least, most = 0, 1000
			case n == gone+1: // noticed by then, and counting here begins at an edge
				least, most = 0, 200
			case n > gone && n < back:
				least, most = 190, 200
			}
			if (got < least || got > most) && n != store.ms()/1000 && n != gone-2 {
				t.Errorf("window %d (away from %d to %d): %d admitted, want %d to %d", n, gone, back, got, least, most)
			}
		}
		for _, text := range []string{"each instance limits by local_rate", "counts again"} {
			if n := strings.Count(log.String(), text); n != 2 {
				t.Errorf("%q was logged %d times, want once by each instance:\n%s", text, n, log)
			}
		}
	})
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// TestNobodyWaitsForAStoreThatHangs longer than a moment.
func TestNobodyWaitsForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFar()
		store.delay = func() time.Duration { return time.Hour }
		store.away.Store(true)
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{10, time.Minute}, Store: store})[0]
		began := time.Now()
		if d := l.Take(t.Context(), nil); d.Outcome != Denied || time.Since(began) > 2*askTimeout {
			t.Errorf("after %v: %+v, want a denial until counting here begins", time.Since(began), d)
		}
		wait(t.Context(), time.Second)
		if d := l.Take(t.Context(), nil); d.Outcome != Admitted {
			t.Errorf("a second later: %+v", d)
		}
	})
}

// TestUndo: a request that a second limit refuses costs nothing.
func TestUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := fleet(t, 1, Config{Name: "api", Rate: Rate{5, time.Minute}})[0]
		for range 20 {
			d := l.Take(t.Context(), nil)
			if d.Outcome != Admitted {
				t.Fatalf("got %+v", d)
			}
			d.Undo()
		}
		Decision{}.Undo()
	})
}

// TestLimitersUnderRace lets all meet in real time.
func TestLimitersUnderRace(t *testing.T) {
	store := NewLocalStore(nil)
	var all []*Limiter
	for range 3 {
		l := New(Config{Name: "api", Rate: Rate{500, time.Second}, Store: store})
		l.Open()
		all = append(all, l)
	}
	w := &windows{clock: store, size: 1000, all: map[int64]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				if all[i%3].Take(ctx, nil).Outcome == Admitted {
					w.admit()
				}
			}
		})
	}
	clients.Wait()
	total := 0
	for _, n := range w.all {
		total += n
	}
	if most := 500 * len(w.all); total > most { // in real time the count of one second may be noted in the next
		t.Errorf("%d were admitted in %d windows, want at most %d", total, len(w.all), most)
	}
	for _, l := range all {
		l.Close()
	}
}

func BenchmarkTry(b *testing.B) {
	for name, subject := range map[string]string{"global": "", "client": "192.0.2.1 "} {
		b.Run(name, func(b *testing.B) {
			l := New(Config{Name: "api", Rate: Rate{1 << 40, time.Hour}})
			l.Open()
			defer l.Close()
			l.Take(b.Context(), []byte(subject))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				s := []byte(subject)
				for pb.Next() {
					if d := l.Try(s); d.Outcome == Undecided {
						l.Take(b.Context(), s)
					}
				}
			})
		})
	}
}

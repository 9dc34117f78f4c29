package cache

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
)

// toll is a tier that counts the commands for counters and can hold them up.
type toll struct {
	SharedTier
	adds, counts atomic.Int64
	adding       func(ctx context.Context) // before the tier is asked
	counted      func(ctx context.Context) // after the tier has answered
}

func (p *toll) Add(ctx context.Context, key string, n int64) (int64, error) {
	p.adds.Add(1)
	if p.adding != nil {
		p.adding(ctx)
	}
	return p.SharedTier.Add(ctx, key, n)
}

func (p *toll) Count(ctx context.Context, key string) (int64, error) {
	n, err := p.SharedTier.Count(ctx, key)
	p.counts.Add(1)
	if p.counted != nil {
		p.counted(ctx)
	}
	return n, err
}

// at holds up what adds until the gate is opened, or the cache is closed: a test
// that fails has to end.
func at(gate chan struct{}) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
}

func tolled(c *Cache) *toll {
	p := &toll{SharedTier: c.tier}
	c.tier = p
	return p
}

// gathered waits until n callers wait for counters.
func gathered(t *testing.T, c *Cache, n int64) {
	t.Helper()
	testkit.Eventually(t, patience, strconv.FormatInt(n, 10)+" callers wait", func() bool { return c.Stats().Counting == n })
}

// called is what some callers were answered.
type called struct {
	sync.WaitGroup
	mu      sync.Mutex
	numbers []int64
	errs    []error
}

func (a *called) add(n int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.errs = append(a.errs, err)
		return
	}
	a.numbers = append(a.numbers, n)
}

// increment lets n callers count.
func (a *called) increment(t *testing.T, c *Cache, key string, n int) {
	for range n {
		a.Go(func() { a.add(c.Increment(within(t), key)) })
	}
}

// want waits for all and checks that the numbers are first … last, each once,
// and that so many got the error.
func (a *called) want(t *testing.T, first, last int64, failed int, err error) {
	t.Helper()
	a.Wait()
	slices.Sort(a.numbers)
	ok := int64(len(a.numbers)) == last-first+1
	for i, n := range a.numbers {
		ok = ok && n == first+int64(i)
	}
	if !ok {
		t.Errorf("got the numbers %v, want each from %d to %d once", a.numbers, first, last)
	}
	if len(a.errs) != failed {
		t.Errorf("%d callers got errors (%v), want %d", len(a.errs), errors.Join(a.errs...), failed)
	}
	for _, got := range a.errs {
		if !errors.Is(got, err) {
			t.Errorf("a caller got %v, want %v", got, err)
		}
	}
}

func wantCount(t *testing.T, c *Cache, key string, want int64) {
	t.Helper()
	if n, err := c.Count(within(t), key); n != want || err != nil {
		t.Errorf("the count is %d, %v, want %d", n, err, want)
	}
}

// TestIncrementsTogether: who comes while an increment is on its way is counted
// together with all others who do, and gets a number of his own.
func TestIncrementsTogether(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		const callers = 1000
		c := open(t)
		p := tolled(c)
		gate := make(chan struct{})
		p.adding = at(gate)
		var all called
		all.increment(t, c, keyOf(t, 1), 1)
		testkit.Eventually(t, patience, "the first one is sent", func() bool { return p.adds.Load() == 1 })
		all.increment(t, c, keyOf(t, 1), callers-1)
		gathered(t, c, callers)
		close(gate)
		all.want(t, 1, callers, 0, nil)
		if n := p.adds.Load(); n != 2 {
			t.Errorf("%d increments took %d commands, want 2", callers, n)
		}
		wantCount(t, c, keyOf(t, 1), callers)
	})
}

// TestCommandsOfManyCallers counts where the commands arrive, with nobody held up.
func TestCommandsOfManyCallers(t *testing.T) {
	const callers, each = 1000, 5
	srv := testkit.Redis(t)
	c := openRedis(t, srv)
	var all called
	for range callers {
		all.Go(func() {
			for range each {
				n, err := c.Increment(within(t), "n")
				all.add(n, err)
				if seen, err := c.Count(within(t), "n"); seen < n || err != nil {
					t.Errorf("counted as %d, the count is %d, %v", n, seen, err)
				}
			}
		})
	}
	all.want(t, 1, callers*each, 0, nil)
	stats := srv.Text("INFO", "commandstats")
	for _, command := range []string{"incrby", "get"} {
		_, rest, _ := strings.Cut(stats, "cmdstat_"+command+":calls=")
		text, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(text); err != nil || n < each || n > callers*each/5 {
			t.Errorf("%d calls took %d commands %q (error %v)", callers*each, n, command, err)
		}
	}
	if strings.Contains(stats, "cmdstat_incr:") {
		t.Error("somebody was counted by a command of his own")
	}
}

// TestACountIsNeverOlder: a count that is being read when somebody is counted
// may not be his answer, and the next one is read once for all who asked before it
// was.
func TestACountIsNeverOlder(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		p := tolled(c)
		key := keyOf(t, 1)
		gate := make(chan struct{})
		p.counted = at(gate)
		var before, after called
		before.Go(func() { before.add(c.Count(within(t), key)) })
		testkit.Eventually(t, patience, "the first count is read and on its way", func() bool { return p.counts.Load() == 1 })
		if n, err := c.Increment(within(t), key); n != 1 || err != nil {
			t.Fatalf("counting: got %d, %v", n, err)
		}
		const readers = 50
		for range readers {
			after.Go(func() { after.add(c.Count(within(t), key)) })
		}
		gathered(t, c, readers+1)
		close(gate)
		before.want(t, 0, 0, 0, nil)
		after.Wait()
		for _, n := range after.numbers {
			if n != 1 {
				t.Errorf("after the increment a count is %d", n)
			}
		}
		if n := p.counts.Load(); n != 2 || len(after.errs) > 0 {
			t.Errorf("the count was read %d times, %d failed, want twice and none", n, len(after.errs))
		}
	})
}

// TestCallersOutOfTime: whoever gives up, be it the one whose command is on its
// way or one who waits for the next, is told at once and disturbs nobody.
func TestCallersOutOfTime(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		p := tolled(c)
		key := keyOf(t, 1)
		gate := make(chan struct{})
		p.adding = at(gate)
		ctx, giveUp := context.WithCancel(context.Background())
		var gone, rest called
		gone.Go(func() { gone.add(c.Increment(ctx, key)) })
		testkit.Eventually(t, patience, "the first one is sent", func() bool { return p.adds.Load() == 1 })
		rest.increment(t, c, key, 2)
		gathered(t, c, 3)
		gone.Go(func() { gone.add(c.Increment(ctx, key)) })
		gathered(t, c, 4)
		rest.increment(t, c, key, 2)
		gathered(t, c, 6)
		giveUp()
		gone.want(t, 1, 0, 2, ErrTimeout)
		if n := p.adds.Load(); n != 1 {
			t.Fatalf("%d commands were sent", n)
		}
		if n, err := c.Increment(ctx, key); !errors.Is(err, ErrTimeout) {
			t.Errorf("a caller without time: got %d, %v", n, err)
		}
		close(gate)
		rest.Wait()
		slices.Sort(rest.numbers)
		// The place between the second and the third is that of the one who gave up.
		if !slices.Equal(rest.numbers, []int64{2, 3, 5, 6}) || len(rest.errs) > 0 {
			t.Errorf("the others got %v, %v", rest.numbers, rest.errs)
		}
		wantCount(t, c, key, 6)
	})
}

// TestCutIncrements: the connection breaks under an increment of many. Redis may
// have counted or not; all of them get an error, and it is not sent again.
func TestCutIncrements(t *testing.T) {
	f := func(name string, counted bool, left int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := testkit.Redis(t)
			gate := make(chan struct{})
			var sent atomic.Int64
			cut := func(cmd []string) bool { return cmd != nil && cmd[0] == "INCRBY" && cmd[2] == "20" }
			between := testkit.ScriptedRedis(t, func(conn *testkit.Conn) {
				conn.Forward(testkit.Forwarding{To: srv.Addr(),
					Command: func(cmd []string) bool {
						if cmd[0] == "INCRBY" && sent.Add(1) == 1 {
							at(gate)(t.Context())
						}
						if counted || !cut(cmd) {
							return false
						}
						conn.Close()
						return true
					},
					Reply: func(cmd []string, raw string) string {
						if cut(cmd) {
							conn.Close()
						}
						return raw
					},
				})
			})
			c := open(t, testConfig(), func(cfg *setup) { cfg.Redis.URL = between.URL() })
			testkit.Eventually(t, patience, "Redis can be asked", func() bool { return c.Up() == nil })
			var first, cutOff, next called
			first.increment(t, c, "n", 1)
			testkit.Eventually(t, patience, "the first one is sent", func() bool { return sent.Load() == 1 })
			cutOff.increment(t, c, "n", 20)
			gathered(t, c, 21)
			close(gate)
			first.want(t, 1, 1, 0, nil)
			cutOff.want(t, 1, 0, 20, ErrUnavailable)
			testkit.Eventually(t, patience, "Redis can be asked again", func() bool { return c.Up() == nil })
			wantCount(t, c, "n", left)
			next.increment(t, c, "n", 1)
			next.want(t, left+1, left+1, 0, nil)
			if n := sent.Load(); n != 3 {
				t.Errorf("%d increments were sent, want 3", n)
			}
		})
	}
	f("before it was counted", false, 1)
	f("after it was counted", true, 21)
}

// TestCloseWhileSomeWait: they get an error, what has gathered is not sent any
// more, and nobody is waited for who does not know that it ends.
func TestCloseWhileSomeWait(t *testing.T) {
	cfg := testConfig()
	cfg.Embedded = t.TempDir() + "/tier.db"
	c, err := cfg.start()
	if err != nil {
		t.Fatal(err)
	}
	p := tolled(c)
	p.adding = func(ctx context.Context) { <-ctx.Done() }
	var all called
	all.increment(t, c, "n", 1)
	testkit.Eventually(t, patience, "the first one is sent", func() bool { return p.adds.Load() == 1 })
	all.increment(t, c, "n", 5)
	gathered(t, c, 6)
	c.Close()
	all.want(t, 1, 0, 6, ErrUnavailable)
	if n := p.adds.Load(); n != 1 {
		t.Errorf("%d commands were sent, want 1", n)
	}
	if _, err := c.Increment(within(t), "n"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("counting after the end: got %v, want ErrUnavailable", err)
	}
}

// TestNoNumber: a key that cannot count fails all who count there, and nobody
// else; what it holds stays as it is.
func TestNoNumber(t *testing.T) {
	bothTiers(t, func(t *testing.T, open func(*testing.T, ...func(*setup)) *Cache) {
		c := open(t)
		p := tolled(c)
		f := func(value string) {
			t.Helper()
			bad, good := fixture{c, t, keyOf(t, "bad")}, keyOf(t, value)
			bad.set(value)
			gate, sent := make(chan struct{}), p.adds.Load()+2
			p.adding = at(gate)
			var failed, counted called
			for _, n := range []int{1, 9} {
				failed.increment(t, c, bad.key, n)
				counted.increment(t, c, good, n)
				testkit.Eventually(t, patience, "the first ones are sent", func() bool { return p.adds.Load() == sent })
			}
			gathered(t, c, 20)
			close(gate)
			// One more than the largest number is none; the first of them may be counted.
			failed.Wait()
			if value == strconv.Itoa(math.MaxInt64-1) {
				failed.want(t, math.MaxInt64, math.MaxInt64, 9, ErrUnavailable)
			} else {
				failed.want(t, 1, 0, 10, ErrUnavailable)
				bad.want(value)
			}
			counted.want(t, 1, 10, 0, nil)
			if err := c.Up(); err != nil {
				t.Errorf("%s passed for an outage: %v", value, err)
			}
		}
		f(`{"id":1}`)
		f(`1.5`)
		f(strconv.Itoa(math.MaxInt64 - 1))
	})
}

// TestPanicOfTheTier is the error of those who waited for it, and the next ones
// are served.
func TestPanicOfTheTier(t *testing.T) {
	c := openFile(t)
	p := tolled(c)
	p.adding = func(context.Context) {
		if p.adds.Load() == 1 {
			panic("of a test")
		}
	}
	if _, err := c.Increment(within(t), "n"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "of a test") {
		t.Errorf("got %v, want ErrUnavailable and the panic", err)
	}
	if n, err := c.Increment(within(t), "n"); n != 1 || err != nil {
		t.Errorf("the next one: got %d, %v", n, err)
	}
}

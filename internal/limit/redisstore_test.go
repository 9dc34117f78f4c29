package limit

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache"
	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// patience bounds every wait for a real server.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// keyOf makes keys that no two tests share.
func keyOf(t *testing.T, id any) string { return fmt.Sprintf("%s:%v", t.Name(), id) }

// openShared returns a store that counts in the Redis at url, over the shared tier
// of a cache. up tells whether that has Redis.
func openShared(t *testing.T, url string) (s *RedisStore, up func() bool) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	c, err := cache.New(cache.Config{
		Revalidate: time.Minute, LinkTimeout: 2 * time.Second, Lease: 10 * time.Second, Log: log,
		Settings: cache.Settings{Budget: 1 << 20, MissingShare: 0.1, MaxLoads: 1, Wait: time.Second},
		Shared: func(m *memory.Store, f *cache.Flights) (cache.SharedTier, error) {
			tier, err := redis.New(redis.Config{URL: url, LinkTimeout: 2 * time.Second, Lease: 10 * time.Second, Revalidate: time.Minute, Log: log}, m, f)
			if err == nil {
				s = NewRedisStore(tier)
			}
			return tier, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	up = func() bool { return c.Up() == nil }
	testkit.Eventually(t, patience, "Redis is reached", up)
	return s, up
}

// hours is a window that no test outlives, but one that begins at its end.
const hours = 1000 * time.Hour

// bothStores runs f against the count in this process and that in Redis.
func bothStores(t *testing.T, f func(*testing.T, Store)) {
	t.Run("memory", func(t *testing.T) { f(t, NewLocalStore(nil)) })
	t.Run("redis", func(t *testing.T) {
		s, _ := openShared(t, testkit.Redis(t).URL())
		f(t, s)
	})
}

func TestPermits(t *testing.T) {
	bothStores(t, func(t *testing.T, c Store) {
		take := func(key string, rate Rate, want int) Grant {
			t.Helper()
			g, err := c.TakePermits(within(t), key, rate, rate.Count, want)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		key, rate := keyOf(t, "a"), Rate{Count: 10, Window: hours}
		first := take(key, rate, 3)
		if first.Permits != 3 || first.Remaining != 7 || first.Left <= 0 || first.Left > hours {
			t.Errorf("got %+v", first)
		}
		if g := take(key, rate, 100); g.Permits != 3 || g.Remaining != 4 || g.Window != first.Window {
			t.Errorf("half of what is free: got %+v", g)
		}
		if g := take(key, rate, 0); g.Permits != 0 || g.Remaining != 4 {
			t.Errorf("a question: got %+v", g)
		}
		for want := 3; want >= 0; want-- {
			if g := take(key, rate, 1); g.Permits != 1 || g.Remaining != want {
				t.Errorf("got %+v, want %d left", g, want)
			}
		}
		if g := take(key, rate, 1); g.Permits != 0 || g.Wait != g.Left {
			t.Errorf("used up: got %+v", g)
		}
		if err := c.ReturnPermits(within(t), key, rate, first.Window, 2); err != nil {
			t.Fatal(err)
		}
		if err := c.ReturnPermits(within(t), key, rate, first.Window-1, 2); err != nil { // of a window that is over
			t.Fatal(err)
		}
		if g := take(key, rate, 0); g.Remaining != 2 {
			t.Errorf("after two went back: got %+v", g)
		}
		if g := take(keyOf(t, "b"), rate, 1); g.Remaining != 9 {
			t.Errorf("another key: got %+v", g)
		}
	})
}

// TestNoTokenIsHandedOutTwice, whoever asks at once.
func TestNoTokenIsHandedOutTwice(t *testing.T) {
	bothStores(t, func(t *testing.T, c Store) {
		rate := Rate{Count: 500, Window: hours}
		var mu sync.Mutex
		var all sync.WaitGroup
		total := 0
		for i := range 8 {
			all.Go(func() {
				for range 200 {
					g, err := c.TakePermits(within(t), keyOf(t, 1), rate, rate.Count, i)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					total += g.Permits
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if total != 500 {
			t.Errorf("%d permits were handed out, want 500", total)
		}
	})
}

// clocked is the script of a limit with a clock of the test's own.
var clocked = strings.Replace(takeScript, "redis.call('TIME')", "{ARGV[6], ARGV[7]}", 1)

// TestTheScriptOfALimit plays the script against Share, with a clock that
// also steps, back and ahead. Whatever it does, no window hands out more than
// its count.
func TestTheScriptOfALimit(t *testing.T) {
	srv := testkit.Redis(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range 30 {
		rate := Rate{Count: 1 + rng.IntN(200), Window: time.Duration(1+rng.IntN(3)) * time.Second}
		burst := 1 + rng.IntN(rate.Count)
		size := rate.Window.Milliseconds()
		key := keyOf(t, round)
		used, latest := map[int64]int{}, int64(0)
		for now := int64(1_700_000_000_000 + rng.IntN(100_000)); len(used) < 12; {
			want := rng.IntN(30)
			window, into := now/size, now%size
			answer := srv.Do("EVAL", clocked, "2", key, key+":side", fmt.Sprint(size), fmt.Sprint(rate.Count), fmt.Sprint(burst), fmt.Sprint(want), "1",
				fmt.Sprint(now/1000), fmt.Sprint(now%1000*1000+int64(rng.IntN(1000))))
			permits, rest, wait := share(rate, burst, used[window], want, into)
			expect := fmt.Sprint([]int64{int64(permits), window, size - into, int64(rest), wait})
			if got := fmt.Sprint(numbersOf(t, answer)[:5]); got != expect {
				t.Fatalf("at %d ms of window %d, %d used of %v, burst %d, %d wanted: got %s, want %s", into, window, used[window], rate, burst, want, got, expect)
			}
			if used[window] += permits; used[window] > rate.Count {
				t.Fatalf("window %d has handed out %d of %d", window, used[window], rate.Count)
			}
			latest = max(latest, window)
			switch rng.IntN(20) {
			case 0: // the clock steps back, into a window that has been counted already
				now = max(now-size-int64(rng.IntN(int(size)))/2, (latest-2)*size)
			case 1:
				now += size
			default:
				now += int64(rng.IntN(int(size / 20)))
			}
		}
		if n, err := strconv.Atoi(srv.Text("HLEN", key)); n > 5 || err != nil {
			t.Errorf("%d windows are kept, want at most five; %v", n, err)
		}
		if ttl, err := strconv.ParseInt(srv.Text("PTTL", key), 10, 64); ttl <= 2*size || ttl > 3*size || err != nil {
			t.Errorf("the key lives for %d ms, want two windows of %d ms longer than this one", ttl, size)
		}
	}
	srv.Do("SET", "no hash", "x")
	if got := numbersOf(t, srv.Do("EVAL", clocked, "2", "no hash", "side", "1000", "10", "10", "1", "1", "1700000000", "0")); got[0] != 1 {
		t.Errorf("a key of another type: got %v, want a token", got)
	}
}

func numbersOf(t *testing.T, answer any) (n []int64) {
	t.Helper()
	list, ok := answer.([]any)
	if !ok {
		t.Fatalf("the script answers %v", answer)
	}
	for _, v := range list {
		number, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, number)
	}
	return n
}

// TestALimitOverRedis: two instances, and Redis goes and comes back.
func TestALimitOverRedis(t *testing.T) {
	srv := testkit.Redis(t)
	rate := Rate{Count: 40, Window: hours}
	var fleet []*Limiter
	start := func() {
		srv.Do("FLUSHALL")
		fleet = nil
		for range 2 {
			c, _ := openShared(t, srv.URL())
			l := New(Config{Name: "api", Rate: rate, LocalRate: Rate{Count: 3, Window: hours}, Store: c, Log: slog.New(slog.DiscardHandler)})
			l.Open()
			t.Cleanup(l.Close)
			fleet = append(fleet, l)
		}
	}
	spend := func(times int) (admitted int) {
		for i := range times {
			if fleet[i%2].Take(within(t), []byte("somebody")).Outcome == Admitted {
				admitted++
			}
		}
		return admitted
	}
	// On a machine that stalls the first question may take too long; then Redis is away for a window.
	testkit.Eventually(t, patience, "20 of 20 are admitted", func() bool { start(); return spend(20) == 20 })
	keys := fmt.Sprint(srv.Do("KEYS", "hearth:limit:*"))
	if strings.Contains(keys, "somebody") || !strings.Contains(keys, "hearth:limit:{api:") {
		t.Errorf("the keys are %s, want one that hides the subject", keys)
	}
	srv.Kill()
	before := 20
	testkit.Eventually(t, patience, "each instance counts by itself", func() bool {
		before += spend(2)
		return before > 20
	})
	if n := before + spend(200); n > 40+6 {
		t.Errorf("%d were admitted in all, want at most the rate, and local_rate of each instance", n)
	}
}

// TestALimitFindsRedisAgain: with Redis back it is Redis that counts.
func TestALimitFindsRedisAgain(t *testing.T) {
	srv := testkit.Redis(t)
	c, up := openShared(t, srv.URL())
	rate := Rate{Count: 10, Window: time.Second}
	l := New(Config{Name: "api", Rate: rate, Store: c, Log: slog.New(slog.DiscardHandler)})
	l.Open()
	t.Cleanup(l.Close)
	counts := func() bool {
		l.Take(within(t), nil)
		return srv.Text("EXISTS", "hearth:limit:{api:}") == "1"
	}
	testkit.Eventually(t, patience, "Redis counts", counts)
	srv.Kill()
	testkit.Eventually(t, patience, "Redis is known to be away", func() bool { return !up() })
	testkit.Eventually(t, patience, "it is admitted all the same", func() bool { return l.Take(within(t), nil).Outcome == Admitted })
	srv.StartEmpty()
	testkit.Eventually(t, patience, "Redis counts again", counts)
}

// TestALimitOverWhatIsNoCount: a foreign value in the place of a window's count
// must not make the whole limit local.
func TestALimitOverWhatIsNoCount(t *testing.T) {
	srv := testkit.Redis(t)
	c, _ := openShared(t, srv.URL())
	rate := Rate{Count: 10, Window: hours}
	window := strconv.FormatInt(time.Now().UnixMilli()/rate.Window.Milliseconds(), 10)
	for _, text := range []string{"abc", "1.5", "99999999999999999999"} {
		key := keyOf(t, text)
		srv.Do("HSET", key, window, text)
		g, err := c.TakePermits(within(t), key, rate, rate.Count, 1)
		if err != nil || g.Permits != 1 || g.Remaining != 9 {
			t.Errorf("over %q: got %+v, %v", text, g, err)
		}
	}
}

package limit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Redis is what a shared count needs of the Redis, or Cluster, that keeps it.
type Redis interface {
	// Script returns a function that runs a Lua script as one atomic step and
	// returns the numbers it answers. The keys of a call lie in one hash slot. A
	// script that is repeatable is sent once more when the connection breaks
	// under it.
	Script(text string, repeatable bool) func(ctx context.Context, keys []string, args ...string) ([]int64, error)
	// Slot is the hash slot that a key falls into.
	Slot(key string) uint16
}

// RedisStore counts in Redis, so that all instances see one count. It implements
// Store. Limits are counted where records are kept: an instance that cannot
// count cannot read either.
type RedisStore struct {
	redis                 Redis
	take, spill, giveBack func(ctx context.Context, keys []string, args ...string) ([]int64, error)
	slotTags              func() *[hashSlots]uint32 // see annexOf

	arrivals sync.Map // prefix of a limit's keys → *newcomers
}

// NewRedisStore returns a Store that counts in r.
func NewRedisStore(r Redis) *RedisStore {
	s := &RedisStore{
		redis: r, take: r.Script(takeScript, true), spill: r.Script(spillScript, true), giveBack: r.Script(returnScript, false),
	}
	s.slotTags = sync.OnceValue(s.findSlotTags)
	return s
}

// TakePermits implements Store. It may be repeated when the connection breaks:
// what the first try has taken then is spent by nobody.
//
// A subject whose key is not in Redis yet may be one of a flood, each of which
// would leave a key there for three windows. So keys are made at a bounded rate,
// see newcomers, and subjects beyond it share one count until they have a key.
// A subject that has one is not concerned.
func (s *RedisStore) TakePermits(ctx context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	k := s.keysOf(key)
	only := want == 0 || k.subject == "" // one key for the whole limit: nobody can make more of it
	arrivals := s.newcomersOf(k.limit)
	mayMake := only || arrivals.admit(rate, time.Now())
	n, err := s.ask(ctx, k.own, rate, burst, want, mayMake)
	if err != nil {
		return Grant{}, err
	}
	if n[5] == 0 && mayMake && !only {
		arrivals.giveBack()
	}
	if n[0] >= 0 {
		return grantOf(n), nil
	}
	return s.takeInCommon(ctx, k, rate, burst)
}

func (s *RedisStore) newcomersOf(limit string) *newcomers {
	n, ok := s.arrivals.Load(limit)
	if !ok {
		n, _ = s.arrivals.LoadOrStore(limit, &newcomers{})
	}
	return n.(*newcomers)
}

// ask runs takeScript.
func (s *RedisStore) ask(ctx context.Context, keys []string, rate Rate, burst, want int, mayMake bool) ([]int64, error) {
	may := "0"
	if mayMake {
		may = "1"
	}
	n, err := s.take(ctx, keys, milliseconds(rate.Window), strconv.Itoa(rate.Count), strconv.Itoa(burst), strconv.Itoa(want), may)
	return checked(n, 6, err)
}

// checked is the answer of a script, which has so many numbers.
func checked(n []int64, numbers int, err error) ([]int64, error) {
	if err == nil && len(n) != numbers {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return nil, fmt.Errorf("taking tokens of a limit: %w", err)
	}
	return n, nil
}

func grantOf(n []int64) Grant {
	return Grant{
		Permits: int(n[0]), Window: n[1], Left: time.Duration(n[2]) * time.Millisecond,
		Remaining: int(n[3]), Wait: time.Duration(n[4]) * time.Millisecond,
	}
}

// retryShared is when a subject without a key may have one, and asks again.
const retryShared = time.Second

// takeInCommon asks for one token of the count that all subjects without a key
// share, and notes in the subject's annex that it has had it: the key that the
// subject may get later in the same window, from whichever instance, begins with
// that.
func (s *RedisStore) takeInCommon(ctx context.Context, k sharedKeys, rate Rate, burst int) (Grant, error) {
	n, err := s.ask(ctx, k.shared, rate, burst, 1, true)
	if err != nil {
		return Grant{}, err
	}
	g := grantOf(n)
	g.Common, g.Remaining = true, 0
	if g.Permits == 0 {
		g.Wait = min(g.Wait, retryShared)
		return g, nil
	}
	noted, err := s.spill(ctx, k.own, milliseconds(rate.Window), strconv.Itoa(rate.Count))
	if noted, err = checked(noted, 2, err); err != nil {
		return Grant{}, err
	}
	g.Left = min(g.Left, time.Duration(noted[1])*time.Millisecond)
	if noted[0] == 0 { // it has a key by now, and has used it up
		g.Permits, g.Wait = 0, g.Left
	}
	return g, nil
}

// ReturnPermits implements Store.
func (s *RedisStore) ReturnPermits(ctx context.Context, key string, _ Rate, window int64, tokens int) error {
	_, err := s.giveBack(ctx, []string{key}, strconv.FormatInt(window, 10), strconv.Itoa(tokens))
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

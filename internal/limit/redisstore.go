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

// RedisStore counts in Redis, so that all instances see one count. It implements Store.
// Limits are counted where records are kept: an instance that cannot count cannot read
// either.
type RedisStore struct {
	redisKeys
	take, note, giveBack func(ctx context.Context, keys []string, args ...string) ([]int64, error)

	firstSeen sync.Map // prefix of a limit's keys → *firstSeen
}

// NewRedisStore returns a Store that counts in r.
func NewRedisStore(r Redis) *RedisStore {
	return &RedisStore{
		redisKeys: newRedisKeys(r.Slot),
		take:      r.Script(takeScript, true), note: r.Script(noteScript, true), giveBack: r.Script(returnScript, false),
	}
}

// TakePermits implements Store. It may be repeated when the connection breaks: what the
// first attempt has taken is not spent then.
//
// A subject whose key is not in Redis yet may be one of a flood, each of which would
// leave a key there for three windows. So keys are made at a bounded rate, see
// firstSeen, and subjects beyond it share the common count until they have a key. A
// subject that has one is not concerned.
func (s *RedisStore) TakePermits(ctx context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	k := s.keysOf(key)
	unbounded := want == 0 || k.subject == "" // makes no key, or the only one of its limit
	seen := s.firstSeenOf(k.limit)
	mayMake := unbounded || seen.admit(rate, time.Now())
	n, err := s.ask(ctx, k.own, rate, burst, want, mayMake)
	if err != nil {
		return Grant{}, err
	}
	if n[5] == 0 && mayMake && !unbounded {
		seen.undo()
	}
	if n[0] >= 0 {
		return grantOf(n), nil
	}
	return s.takeCommon(ctx, k, rate, burst)
}

func (s *RedisStore) firstSeenOf(limit string) *firstSeen {
	n, ok := s.firstSeen.Load(limit)
	if !ok {
		n, _ = s.firstSeen.LoadOrStore(limit, &firstSeen{})
	}
	return n.(*firstSeen)
}

// ask runs takeScript.
func (s *RedisStore) ask(ctx context.Context, keys []string, rate Rate, burst, want int, mayMake bool) ([]int64, error) {
	may := "0"
	if mayMake {
		may = "1"
	}
	n, err := s.take(ctx, keys, milliseconds(rate.Window), strconv.Itoa(rate.Count), strconv.Itoa(burst), strconv.Itoa(want), may)
	return expectNumbers(n, 6, err)
}

// expectNumbers is the answer of a script, which has so many numbers.
func expectNumbers(n []int64, numbers int, err error) ([]int64, error) {
	if err == nil && len(n) != numbers {
		err = errors.New("unexpected answer")
	}
	if err != nil {
		return nil, fmt.Errorf("taking permits of a limit: %w", err)
	}
	return n, nil
}

func grantOf(n []int64) Grant {
	return Grant{
		Permits: int(n[0]), Window: n[1], Left: time.Duration(n[2]) * time.Millisecond,
		Remaining: int(n[3]), Wait: time.Duration(n[4]) * time.Millisecond,
	}
}

// retryCommon is after how long a subject without a key asks again: it may get one.
const retryCommon = time.Second

// takeCommon asks for one permit of the common count, and notes it in the subject's side
// key: the key that the subject may get later in the same window, from any instance,
// begins with that.
func (s *RedisStore) takeCommon(ctx context.Context, k subjectKeys, rate Rate, burst int) (Grant, error) {
	n, err := s.ask(ctx, k.common, rate, burst, 1, true)
	if err != nil {
		return Grant{}, err
	}
	g := grantOf(n)
	g.Common, g.Remaining = true, 0
	if g.Permits == 0 {
		g.Wait = min(g.Wait, retryCommon)
		return g, nil
	}
	noted, err := s.note(ctx, k.own, milliseconds(rate.Window), strconv.Itoa(rate.Count))
	if noted, err = expectNumbers(noted, 2, err); err != nil {
		return Grant{}, err
	}
	g.Left = min(g.Left, time.Duration(noted[1])*time.Millisecond)
	if noted[0] == 0 { // it has a key by now, and has used it up
		g.Permits, g.Wait = 0, g.Left
	}
	return g, nil
}

// ReturnPermits implements Store. It is sent once.
func (s *RedisStore) ReturnPermits(ctx context.Context, key string, _ Rate, window int64, permits int) error {
	_, err := s.giveBack(ctx, []string{key}, strconv.FormatInt(window, 10), strconv.Itoa(permits))
	return err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

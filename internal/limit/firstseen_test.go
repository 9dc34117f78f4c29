package limit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// closeTo lets no subject in that is not in Redis yet.
func closeTo(s *RedisStore, key string) {
	n := s.firstSeenOf(s.keysOf(key).limit)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left, n.asked = 0, time.Now()
}

// openTo lets all of them in again.
func openTo(s *RedisStore, key string) {
	n := s.firstSeenOf(s.keysOf(key).limit)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left = 1000
}

// spender spends permits of subjects one by one, at one instance.
func spender(t *testing.T, s *RedisStore, rate Rate) func(subject string, times int) (admitted int) {
	return func(subject string, times int) (admitted int) {
		t.Helper()
		for range times {
			g, err := s.TakePermits(within(t), "hearth:limit:{api:"+subject+"}", rate, rate.Count, 1)
			if err != nil {
				t.Fatal(err)
			}
			admitted += g.Permits
			if g.Common && (g.Permits > 1 || g.Remaining != 0 || g.Permits == 0 && g.Wait > retryCommon) {
				t.Errorf("of the shared count: got %+v", g)
			}
		}
		return admitted
	}
}

// TestSubjectsBeyondTheBoundShareOneCount: a flood of new subjects leaves no keys
// behind, gets no more than one subject may, and takes nothing from those who
// were there before.
func TestSubjectsBeyondTheBoundShareOneCount(t *testing.T) {
	srv := testkit.Redis(t)
	rate := Rate{Count: 10, Window: hours}
	c, _ := openShared(t, srv.URL())
	spend := spender(t, c, rate)
	if n := spend("known", 3); n != 3 {
		t.Fatalf("%d were admitted, want 3", n)
	}
	closeTo(c, "hearth:limit:{api:}")
	flood := 0
	for i := range 40 {
		flood += spend(fmt.Sprint("flood ", i), 2)
	}
	if flood != 10 {
		t.Errorf("%d of a flood were admitted, want 10", flood)
	}
	if n := spend("known", 20); n != 7 {
		t.Errorf("%d more of a subject that was there before were admitted, want 7", n)
	}
	if n := spend("", 20); n != 10 {
		t.Errorf("%d requests that belong to no subject were admitted, want 10", n)
	}
	if keys := fmt.Sprint(srv.Do("KEYS", "hearth:limit:*")); strings.Contains(keys, "flood") {
		t.Errorf("the flood has left %s", keys)
	}
}

// TestWhatWasSharedCounts: who was admitted by the shared count, and gets one of
// his own in the same window, has not got the rate once more; at whichever
// instance.
func TestWhatWasSharedCounts(t *testing.T) {
	srv := testkit.Redis(t)
	rate := Rate{Count: 10, Window: hours}
	a, _ := openShared(t, srv.URL())
	b, _ := openShared(t, srv.URL())
	here, there := spender(t, a, rate), spender(t, b, rate)
	closeTo(a, "hearth:limit:{api:}")
	if n := here("x", 4) + here("y", 3); n != 7 {
		t.Fatalf("%d were admitted by the shared count, want 7", n)
	}
	if n := there("x", 20); n != 6 {
		t.Errorf("%d more were admitted at another instance, want 6", n)
	}
	if n := here("x", 20); n != 0 {
		t.Errorf("%d more were admitted by the shared count of a subject that has used up its own, want none", n)
	}
	openTo(a, "hearth:limit:{api:}")
	if n := here("y", 20); n != 7 {
		t.Errorf("%d more were admitted here, want 7", n)
	}
	if n := here("z", 20); n != 10 {
		t.Errorf("%d of a subject that has shared nothing were admitted, want 10", n)
	}
}

// TestASharedTokenOfASubjectThatHasGotAKey is counted there: between the two
// questions another instance may have made it.
func TestASharedTokenOfASubjectThatHasGotAKey(t *testing.T) {
	srv := testkit.Redis(t)
	k := NewRedisStore(&redis.Tier{}).keysOf("hearth:limit:{api:x}")
	note := func() string {
		return fmt.Sprint(srv.Do("EVAL", noteScript, "2", k.own[0], k.own[1], fmt.Sprint(hours.Milliseconds()), "2").([]any)[0])
	}
	window := fmt.Sprint(time.Now().UnixMilli() / hours.Milliseconds())
	srv.Do("HSET", k.own[0], window, "1")
	if first, second := note(), note(); first != "1" || second != "0" {
		t.Errorf("with one of two used: got %s, then %s, want 1, then 0", first, second)
	}
	if n := srv.Text("EXISTS", k.own[1]); n != "0" {
		t.Error("what the key has was noted beside it")
	}
	srv.Do("DEL", k.own[0])
	srv.Do("SET", k.own[1], "foreign")
	if got := note(); got != "1" || srv.Text("HGET", k.own[1], window) != "1" {
		t.Errorf("over a foreign side key: got %s, side key %s", got, srv.Text("HGET", k.own[1], window))
	}
	if ttl := srv.Text("PTTL", k.own[1]); ttl <= "0" {
		t.Errorf("the side key lives for %s ms", ttl)
	}
}

func TestNewcomersAreLetInAtABoundedRate(t *testing.T) {
	var n firstSeen
	hour, now := Rate{Count: 1, Window: time.Hour}, time.Now()
	count := func(at time.Time) (admitted int) {
		for n.admit(hour, at) {
			admitted++
		}
		return admitted
	}
	if got := count(now); got != firstSeenAtOnce {
		t.Errorf("%d at once, want %d", got, firstSeenAtOnce)
	}
	if got := count(now.Add(10 * time.Second)); got != 1000 {
		t.Errorf("%d in ten seconds, want 1000", got)
	}
	n.undo()
	if got := count(now.Add(10 * time.Second)); got != 1 {
		t.Errorf("%d after one was there already, want 1", got)
	}
	if got := count(now.Add(1000 * time.Hour)); got != firstSeenAtOnce {
		t.Errorf("%d after a long time, want %d", got, firstSeenAtOnce)
	}
}

// TestAnSideKeyLivesWhereItsKeyLives, or a Cluster refuses the script.
func TestAnSideKeyLivesWhereItsKeyLives(t *testing.T) {
	tag := func(key string) string {
		return key[strings.IndexByte(key, '{')+1 : strings.IndexByte(key, '}')]
	}
	s, seen := NewRedisStore(&redis.Tier{}), map[string]bool{}
	for i := range 2000 {
		k := s.keysOf(fmt.Sprintf("hearth:limit:{api:%d}", i))
		for _, pair := range [][]string{k.own, k.common} {
			if a, b := s.slot(tag(pair[0])), s.slot(tag(pair[1])); a != b {
				t.Fatalf("%v lie in the slots %d and %d", pair, a, b)
			}
		}
		seen[k.own[1]] = true
		if k.limit != "hearth:limit:{api:" || k.common[0] != "hearth:limit:{api:*}" || !strings.HasSuffix(k.own[1], "}:api") {
			t.Fatalf("got %+v", k)
		}
	}
	if len(seen) < 1500 {
		t.Errorf("2000 subjects share %d side keys", len(seen))
	}
}

// TestSubjectsOfACluster: each subject is counted on the node of its slot, and so is
// what it has had of the count that subjects without a key share.
func TestSubjectsOfACluster(t *testing.T) {
	nodes := testkit.RedisCluster(t)
	c, _ := openShared(t, fmt.Sprintf("redis://%s?addr=%s", nodes[0].Addr(), nodes[1].Addr()))
	spend := spender(t, c, Rate{Count: 10, Window: hours})
	closeTo(c, "hearth:limit:{api:}")
	shared := 0
	for i := range 20 {
		shared += spend(fmt.Sprint("subject ", i), 1)
	}
	if shared != 10 {
		t.Errorf("%d subjects without a key were admitted, want 10", shared)
	}
	openTo(c, "hearth:limit:{api:}")
	for i := range 20 {
		want := 10
		if i < 10 {
			want = 9
		}
		if n := spend(fmt.Sprint("subject ", i), 20); n != want {
			t.Errorf("subject %d was admitted %d times more, want %d", i, n, want)
		}
	}
}

package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
	"hearth/internal/testkit/topology"
)

// part is the story for a test within the test.
func (s *story) part(t *testing.T) *story {
	one := *s
	one.T = t
	return &one
}

// known writes rows and brings them into memory.
func (s *story) known(n int) (ids []int) {
	s.Helper()
	for range n {
		id, path := s.row()
		s.must(200, "PUT", path, `{"v":"before"}`)
		s.inMemory(path, rowOf(id, "before"))
		ids = append(ids, id)
	}
	return ids
}

// heals sees full service come back by itself: writes go through, to where past looks;
// memory answers; and what others change is seen. Until then every answer is the record
// as it was acknowledged, or an honest refusal.
func (s *story) heals(ids []int, v string) {
	s.Helper()
	for _, id := range ids {
		path, was := fmt.Sprintf("/row/%d", id), "before"
		await(s, "a write goes through", func() bool {
			got := s.in.Ask("PUT", path, fmt.Sprintf(`{"v":%q}`, v))
			if got.Code == 504 { // stored, not confirmed
				was = v
			}
			if got.Code != 200 && got.Code < 503 {
				s.Errorf("PUT is answered %v", got)
			}
			return got.Code == 200
		})
		await(s, "memory answers", func() bool {
			got := s.in.Get(path)
			if got.Code != 200 || !strings.Contains(got.Body, rowOf(id, v)) {
				s.Errorf("after the write (before it: %s): %v, want %q", was, got, v)
			}
			return got.FromMemory()
		})
		if s.past == nil {
			continue
		}
		// A server that takes another's place loses what was written to it, and here, a moment
		// before; so the change is made until it is seen.
		await(s, "what another program changes is seen", func() bool {
			err := s.past.Set(fmt.Sprintf("user:%d", id), rowOf(id, "foreign"))
			got := s.in.Get(path)
			return err == nil && got.Unmarked() && strings.Contains(got.Body, rowOf(id, "foreign"))
		})
	}
	await(s, "a batch goes through", func() bool { return s.in.Ask("POST", "/batch", `[{"id":"healed"}]`).Code == 200 })
	await(s, "a counter counts", func() bool { return s.in.Get("/count").Code == 200 })
	await(s, "the instance is ready", func() bool { return s.in.AskAdmin("GET", "/readyz", "").Code == 200 })
}

// TestRedisRefusesForAWhile plays what a server answers that lives and cannot be used, and
// then can. A read is answered all the while, and nothing is written to the database.
func TestRedisRefusesForAWhile(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	redis.Do("DEBUG", "POPULATE", "5000", "filling", "100")
	whole := tell(t, single(redis))
	nowhere := fmt.Sprint(testkit.FreePort(t))
	config := func(name, value string) { redis.Do("CONFIG", "SET", name, value) }
	f := func(name string, refuses func() (end func())) {
		t.Run(name, func(t *testing.T) {
			s := whole.part(t)
			ids := s.known(1)
			path := fmt.Sprintf("/row/%d", ids[0])
			end := refuses()
			await(s, "a write is refused", func() bool { return s.in.Ask("PUT", path, `{"v":"before"}`).Code == 503 })
			for range 20 {
				if got := s.in.Get(path); got.Code != 200 || !strings.Contains(got.Body, rowOf(ids[0], "before")) {
					s.Fatalf("a read is answered %v", got)
				}
			}
			s.must(503, "POST", "/batch", `[{"id":"refused"}]`)
			s.must(503, "GET", "/count", "")
			end()
			s.heals(ids, "after")
			whole.n = s.n
		})
	}
	f("READONLY", func() func() {
		config("replica-serve-stale-data", "yes")
		redis.Do("REPLICAOF", "127.0.0.1", nowhere)
		return redis.Promote
	})
	f("MASTERDOWN", func() func() {
		config("replica-serve-stale-data", "no")
		redis.Do("REPLICAOF", "127.0.0.1", nowhere)
		return redis.Promote
	})
	f("NOREPLICAS", func() func() {
		config("min-replicas-to-write", "1")
		return func() { config("min-replicas-to-write", "0") }
	})
	f("LOADING", func() func() {
		redis.Stop()
		return redis.StartLoading()
	})
}

// TestRedisMoves leads the address to another server. The one before becomes a replica of
// it, keeps the connections that it has (or they are cut), and refuses writes on them.
func TestRedisMoves(t *testing.T) {
	t.Parallel()
	a, b := testkit.Redis(t), testkit.Redis(t)
	relay := testkit.NewRelay(t, a.Addr())
	whole := tell(t, deployed{url: "redis://" + relay.Addr()})
	for _, cut := range []bool{false, true} {
		t.Run(map[bool]string{false: "connections stay", true: "connections are cut"}[cut], func(t *testing.T) {
			s := whole.part(t)
			b.Follow(a)
			ids := s.known(5)
			relay.Retarget(b.Addr())
			b.Promote()
			a.Follow(b)
			if cut {
				relay.Cut()
			}
			s.past = outside.One(b)
			s.heals(ids, "moved")
			whole.n = s.n
			a, b = b, a
		})
	}
}

// TestRedisNameMoves lets the name in redis.url resolve to another server.
func TestRedisNameMoves(t *testing.T) {
	t.Parallel()
	a := testkit.Redis(t)
	port := fmt.Sprint(a.Port())
	b := testkit.Redis(t, testkit.WithConfig("bind 127.0.0.2", "port "+port, "replicaof 127.0.0.1 "+port)) // a name has no port
	names := testkit.NewNames(t, "127.0.0.1")
	s := tell(t, deployed{url: "redis://" + testkit.NamedHost + ":" + port, wrap: names.Wrap(), past: outside.One(b)})
	ids := s.known(3)
	await(t, "the replica follows", func() bool { return strings.Contains(b.Text("INFO", "replication"), "master_link_status:up") })
	names.Lead("127.0.0.2")
	b.Promote()
	a.Do("REPLICAOF", "127.0.0.2", port)
	s.heals(ids, "moved")
}

// TestTrackingIsRefusedForAWhile changes the rule of the account while the instance runs.
// What a start under that rule serves is served, and full service comes back with the right.
func TestTrackingIsRefusedForAWhile(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	redis.Do("ACL", "SETUSER", "hearth", "on", ">pw", "~*", "&*", "+@all")
	d := single(redis)
	d.url = "redis://hearth:pw@" + redis.Addr()
	s := tell(t, d)
	ids := s.known(2)
	path := fmt.Sprintf("/row/%d", ids[0])
	redis.Do("ACL", "SETUSER", "hearth", "-client|tracking")
	redis.Do("CLIENT", "KILL", "USER", "hearth")
	await(t, "answers are from Redis, marked", func() bool {
		got := s.in.Get(path)
		return got.Code == 200 && strings.HasPrefix(got.Tiers, "Hearth-Redis; hit") && !got.Unmarked()
	})
	for range 5 {
		s.must(200, "PUT", path, `{"v":"untracked"}`)
		if got := s.in.Get(path); got.Code != 200 || !strings.Contains(got.Body, rowOf(ids[0], "untracked")) {
			t.Errorf("without tracking: %v", got)
		}
		s.must(200, "POST", "/batch", `[{"id":"untracked"}]`)
		s.must(200, "GET", "/count", "")
	}
	redis.Do("ACL", "SETUSER", "hearth", "+client|tracking")
	testkit.Eventually(t, 2*time.Minute, "memory answers", func() bool { return s.in.Get(path).FromMemory() })
	s.heals(ids, "after")
}

// TestSentinelsFailOver has the sentinels name another master: as planned, and because the
// master is gone.
func TestSentinelsFailOver(t *testing.T) {
	if !testkit.Long() {
		return // TestEveryRedis has sentinels, TestRedisMoves a master that moves
	}
	t.Parallel()
	all := topology.NewSentinels(t, time.Second)
	whole := tell(t, deployed{url: all.URL(), past: all.Past()})
	// In this order, since sentinels do not fail over twice within a while unless they are
	// told to.
	t.Run("killed", func(t *testing.T) {
		s := whole.part(t)
		ids := s.known(5)
		was := all.Master()
		was.Kill()
		await(t, "another is the master", func() bool {
			now, err := all.Named()
			return err == nil && now != was && all.IsMaster(now)
		})
		s.heals(ids, "after")
		whole.n = s.n
	})
	t.Run("planned", func(t *testing.T) {
		s := whole.part(t)
		ids := s.known(5)
		all.Failover()
		s.heals(ids, "after")
	})
}

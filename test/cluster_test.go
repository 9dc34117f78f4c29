package test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
	"hearth/internal/testkit/topology"
)

// clusterStory is a story over a Cluster.
type clusterStory struct {
	*story
	all *topology.Cluster
}

func (s *clusterStory) part(t *testing.T) *clusterStory { return &clusterStory{s.story.part(t), s.all} }

// near is a row, and an item, whose keys one master has.
type near struct {
	id   int
	item string
}

// on brings a row into memory whose key this master has.
func (s *clusterStory) on(master *testkit.RedisServer) near {
	s.Helper()
	has := map[int]bool{}
	for _, slot := range s.all.SlotsOf(master) {
		has[slot] = true
	}
	id, path := s.row()
	for !has[slotOf(id)] {
		id, path = s.row()
	}
	item := "a"
	for n := 0; !has[outside.Slot("item:"+item)]; n++ {
		item = fmt.Sprint("b", n)
	}
	await(s, "a write goes through", func() bool { return s.in.Ask("PUT", path, `{"v":"before"}`).Code == 200 })
	await(s, "memory answers without a mark", func() bool {
		got := s.in.Get(path)
		if got.Code != 200 || !strings.Contains(got.Body, rowOf(id, "before")) {
			s.Fatalf("after the write: %v", got)
		}
		return got.FromMemory()
	})
	return near{id, item}
}

func slotOf(id int) int { return outside.Slot(fmt.Sprintf("user:%d", id)) }

// others are the masters but for one.
func (s *clusterStory) others(master *testkit.RedisServer) (all []*testkit.RedisServer) {
	for _, m := range s.all.Masters() {
		if m != master {
			all = append(all, m)
		}
	}
	return all
}

// unharmed reads and writes rows, stores items beside them and counts until end is
// called. Nothing of it may be marked or refused, and memory answers.
func (s *clusterStory) unharmed(all ...near) (end func()) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, one := range all {
		id, path := one.id, fmt.Sprintf("/row/%d", one.id)
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				want := fmt.Sprint("v", n)
				if got := s.in.Ask("PUT", path, fmt.Sprintf(`{"v":%q}`, want)); got.Code != 200 {
					s.Errorf("PUT %s, whose master is well: %v\n%s", path, got, s.why(got))
					return
				}
				hit := false
				for range 20 {
					got := s.in.Get(path)
					if got.Code != 200 || !got.Unmarked() || !strings.Contains(got.Body, rowOf(id, want)) {
						s.Errorf("GET %s, whose master is well: %v, want %q", path, got, want)
						return
					}
					hit = hit || got.FromMemory()
				}
				if !hit {
					s.Errorf("GET %s, whose master is well: never from memory", path)
					return
				}
				if got := s.in.Ask("POST", "/batch", fmt.Sprintf(`[{"id":%q}]`, one.item)); got.Code != 200 {
					s.Errorf("storing %s, whose master is well: %v\n%s", one.item, got, s.why(got))
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(stop); running.Wait() })
}

// why is what the log says of an answer.
func (s *clusterStory) why(got launch.Reply) string {
	for line := range strings.Lines(s.in.Logs()) {
		if id := got.Header.Get("X-Request-Id"); id != "" && strings.Contains(line, id) {
			return line
		}
	}
	return "of which the log says nothing"
}

// steadyLink is memory.link_timeout beside masters to which nothing happens: a machine
// that stands still for a moment marks nothing.
const steadyLink = "HEARTH_MEMORY_LINK_TIMEOUT=8s"

// TestClusterMoves plays what happens to a Cluster of three masters with a replica each
// while it is used. The masters that it does not happen to are not harmed.
func TestClusterMoves(t *testing.T) {
	if !testkit.Long() {
		return // TestEveryRedis has a Cluster, which stands still; the model of cache/protocol moves slots
	}
	t.Parallel()
	all := topology.NewCluster(t, 3, time.Second)
	whole := &clusterStory{tell(t, deployed{url: all.URL(), past: all.Past(), env: steadyLink}), all}
	f := func(name string, play func(s *clusterStory, of *testkit.RedisServer, id int)) {
		t.Run(name, func(t *testing.T) {
			all.AwaitWhole()
			s := whole.part(t)
			of := all.Masters()[0]
			id := s.on(of).id
			var healthy []near
			for _, m := range s.others(of) {
				healthy = append(healthy, s.on(m))
			}
			end := s.unharmed(healthy...)
			defer end()
			play(s, of, id)
			s.heals([]int{id}, "after")
			end()
			whole.n = s.n
		})
	}
	f("slots are half moved", func(s *clusterStory, of *testkit.RedisServer, id int) {
		to := s.others(of)[0]
		all.MoveHalf(of, to, slotOf(id))
		s.inUse(id)
		all.Move(of, to, slotOf(id))
	})
	f("slots are moved", func(s *clusterStory, of *testkit.RedisServer, id int) {
		all.Move(of, s.others(of)[0], slotOf(id))
		s.inUse(id)
	})
	f("the slots of the canaries are moved", func(s *clusterStory, of *testkit.RedisServer, id int) {
		for _, m := range all.Masters() {
			keys, _ := m.Do("KEYS", "hearth:canary:*").([]any)
			if len(keys) == 0 {
				s.Errorf("the master %s has no canary", m.Addr())
			}
			for _, key := range keys {
				if slot := outside.Slot(fmt.Sprint(key)); all.Owner(slot) == m {
					all.Move(m, s.others(m)[0], slot)
				}
			}
		}
	})
	f("a planned fail-over", func(s *clusterStory, of *testkit.RedisServer, id int) { all.Failover(of) })
	if testkit.Long() {
		f("a master joins", joins)
	}
	f("a master is killed", func(s *clusterStory, of *testkit.RedisServer, id int) {
		of.Kill()
		await(s, "its replica takes its place", func() bool { return all.Serving() == nil })
		s.heals([]int{id}, "after")
		of.Start()
	})
	t.Run("an instance starts without one master", func(t *testing.T) { withoutOneMaster(t, all) })
}

// joins has a master join, take slots, and leave.
func joins(s *clusterStory, of *testkit.RedisServer, id int) {
	added := s.all.Add()
	s.all.Move(of, added, append(s.all.SlotsOf(of)[:50], slotOf(id))...)
	s.inUse(id)
	s.all.AwaitWhole()
	s.all.Move(added, of, s.all.SlotsOf(added)...)
	s.all.Remove(added)
}

// inUse writes and reads a row, which is not refused.
func (s *clusterStory) inUse(id int) {
	s.Helper()
	path := fmt.Sprintf("/row/%d", id)
	for n := range 10 {
		v := fmt.Sprint("used", n)
		s.must(200, "PUT", path, fmt.Sprintf(`{"v":%q}`, v))
		if got := s.in.Get(path); got.Code != 200 || !strings.Contains(got.Body, rowOf(id, v)) {
			s.Errorf("after a write: %v, want %q", got, v)
		}
	}
}

// withoutOneMaster starts an instance while the slots of one master are served by nobody.
// It serves all others, and these when somebody does. Its URL names one node.
func withoutOneMaster(t *testing.T, all *topology.Cluster) {
	all.AwaitWhole()
	dead := all.Masters()[0]
	replica, healthy := all.ReplicaOf(dead), all.Masters()[1:]
	deadSlots := map[int]bool{}
	for _, slot := range all.SlotsOf(dead) {
		deadSlots[slot] = true
	}
	replica.Kill()
	dead.Kill()
	await(t, "the others know", func() bool {
		return strings.Contains(healthy[0].Text("CLUSTER", "INFO"), "cluster_state:ok") && strings.Contains(healthy[0].Text("CLUSTER", "NODES"), "master,fail ")
	})
	d := deployed{url: healthy[0].URL(), env: steadyLink}
	d.before = func(s *story) {
		c := &clusterStory{s, all}
		await(s, "the instance serves", func() bool { return s.in.Get("/healthz").Code == 200 })
		for _, m := range healthy {
			await(s, "the masters that are there are reached", func() bool {
				id, path := s.row()
				for deadSlots[slotOf(id)] {
					id, path = s.row()
				}
				return s.in.Ask("PUT", path, `{"v":"first"}`).Code == 200 && s.in.Get(path).Unmarked()
			})
			end := c.unharmed(c.on(m))
			for range 20 {
				id, path := s.row()
				if got := s.in.Ask("PUT", path, `{"v":"x"}`); deadSlots[slotOf(id)] != (got.Code == 503) || got.Code != 200 && got.Code != 503 {
					s.Errorf("slot %d, dead: %v: PUT is answered %v", slotOf(id), deadSlots[slotOf(id)], got)
				}
				if got := s.in.Get(path); got.Code != 200 && got.Code != 404 {
					s.Errorf("slot %d: GET is answered %v", slotOf(id), got)
				}
			}
			end()
		}
		dead.Start()
		replica.Start()
		all.AwaitWhole()
	}
	s := tell(t, d)
	s.past = all.Past()
	c := &clusterStory{s, all}
	var ids []int
	for _, m := range all.Masters() {
		ids = append(ids, c.on(m).id)
	}
	s.heals(ids, "after")
}

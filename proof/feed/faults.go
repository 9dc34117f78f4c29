package main

import (
	"fmt"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
	"hearth/internal/testkit/topology"
)

// fault is something that happens to a server or an instance. It ends when that has come
// back. It runs on the owner's goroutine.
type fault struct {
	name string
	do   func()
}

// faults are those of an engine and a shared tier, and of the instances.
type faults struct {
	*changing
	database *testkit.Database
	shared   sharedTier
}

// sharedTier is a Redis that can fail over.
type sharedTier interface {
	url() string
	past() *outside.Client
	faults(f *faults) []fault
}

func (f *faults) all() []fault {
	all := []fault{
		{"the leader killed", func() { f.instance(f.leading(), (*launch.Instance).Kill) }},
		{"the leader frozen for longer than its lease", func() { f.freeze(f.ins[f.leading()].Process(), 2500, 4000) }},
		{"the leader ended in good order", func() { f.instance(f.leading(), (*launch.Instance).Stop) }},
		{"another instance killed", func() { f.instance((f.leading()+1)%len(f.ins), (*launch.Instance).Kill) }},
		{"another instance frozen", func() { f.freeze(f.ins[(f.leading()+1)%len(f.ins)].Process(), 500, 3000) }},
	}
	all = append(all, f.shared.faults(f)...)
	return append(all, []fault{
		{"the database killed", f.hurt(func() { f.database.Kill(); f.pause(0, 1500); f.database.Start() })},
		{"the database restarted", f.hurt(func() { f.database.Stop(); f.pause(0, 500); f.database.Start() })},
		{"the database frozen", func() { f.database.Pause(); f.pause(200, 3000); f.database.Resume() }},
		{"the leader and the database killed", f.hurt(func() {
			leader := f.leading()
			f.database.Kill()
			f.instance(leader, func(in *launch.Instance) { in.Kill(); f.database.Start() })
		})},
	}...)
}

// leading is the leader, or any instance while there is none.
func (f *faults) leading() int {
	if i := f.leader(); i >= 0 {
		return i
	}
	return f.dice.IntN(len(f.ins))
}

// between is a random time, in milliseconds.
func (f *faults) between(least, most int) time.Duration {
	return time.Duration(least+f.dice.IntN(most-least+1)) * time.Millisecond
}

func (f *faults) pause(least, most int) { f.rest(f.between(least, most)) }

// instance ends an instance, which comes back after a while.
func (f *faults) instance(i int, end func(in *launch.Instance)) {
	f.restart(i, f.between(0, 1000), end)
}

// freeze stops a process for a while.
func (f *faults) freeze(p *testkit.Process, least, most int) {
	p.Pause()
	f.pause(least, most)
	p.Resume()
}

// hurt excuses what the database's clients are told meanwhile.
func (f *faults) hurt(do func()) func() {
	return func() {
		f.away.Add(1)
		do()
		// What was cut off is told so when it next asks.
		f.rest(50 * time.Millisecond)
		f.away.Add(1)
	}
}

// address is a Redis at an address that moves to a replica.
type address struct {
	servers [2]*testkit.RedisServer
	at      int // of the master
	relay   *testkit.Relay
}

func newAddress(t *trial) *address {
	a := &address{servers: [2]*testkit.RedisServer{testkit.Redis(t), testkit.Redis(t)}}
	a.relay = testkit.NewRelay(t, a.servers[0].Addr())
	return a
}

func (a *address) url() string                  { return "redis://" + a.relay.Addr() }
func (a *address) past() *outside.Client        { return outside.One(a.master()) }
func (a *address) master() *testkit.RedisServer { return a.servers[a.at] }

func (a *address) faults(f *faults) []fault {
	return []fault{
		{"Redis killed, back empty", func() { a.master().Kill(); f.pause(0, 1500); a.master().StartEmpty() }},
		{"Redis killed, back with data of a while ago", func() {
			a.master().Do("SAVE")
			f.pause(500, 2000)
			a.master().Kill()
			f.pause(0, 1000)
			a.master().Start()
		}},
		{"Redis frozen", func() { f.freeze(a.master().Process, 200, 3000) }},
		{"Redis emptied", func() { a.master().Do("FLUSHALL") }},
		{"Redis fails over to a replica that lags, the master killed", func() { a.failOver(f, true) }},
		{"Redis fails over to a replica that lags, the master frozen", func() { a.failOver(f, false) }},
	}
}

// failOver moves the address to a replica that has not heard from the master for a while.
func (a *address) failOver(f *faults, kill bool) {
	master, standby := a.master(), a.servers[1-a.at]
	standby.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
	testkit.Eventually(f, patience, "the replica follows", func() bool { return linked(standby) })
	standby.Do("REPLICAOF", "NO", "ONE")
	f.pause(200, 2000)
	if kill {
		master.Kill()
	} else {
		master.Pause()
	}
	a.at = 1 - a.at
	a.relay.Retarget(standby.Addr())
	f.pause(0, 1000)
	if kill {
		master.StartEmpty()
		return
	}
	f.rest(3 * time.Second)
	master.Resume()
}

// linked tells whether a server follows a master.
func linked(server *testkit.RedisServer) bool {
	role, err := server.Try("ROLE")
	list, _ := role.([]any)
	return err == nil && len(list) > 3 && list[3] == "connected"
}

// sentinels is a master with two replicas that sentinels watch.
type sentinels struct{ *topology.Sentinels }

func newSentinels(t *trial) *sentinels {
	s := topology.NewSentinels(t, time.Second)
	s.Hasten()
	return &sentinels{s}
}

func (s *sentinels) url() string           { return s.URL() }
func (s *sentinels) past() *outside.Client { return s.Past() }

func (s *sentinels) faults(f *faults) []fault {
	replaced := func(master *testkit.RedisServer) {
		testkit.Eventually(f, patience, "the sentinels name another master", func() bool {
			now, err := s.Named()
			return err == nil && now != master && s.IsMaster(now)
		})
	}
	return []fault{
		{"the master killed", func() {
			m := s.Master()
			m.Kill()
			replaced(m)
			f.pause(0, 500)
			m.Start()
			s.AwaitWhole()
		}},
		{"the master frozen", func() {
			m := s.Master()
			m.Pause()
			replaced(m)
			f.pause(0, 500)
			m.Resume()
			s.AwaitWhole()
		}},
		{"SENTINEL FAILOVER", func() { s.Failover(); s.AwaitWhole() }},
	}
}

// cluster is a Cluster of three masters with a replica each.
type cluster struct{ *topology.Cluster }

func newCluster(t *trial) *cluster { return &cluster{topology.NewCluster(t, 3, time.Second)} }

func (c *cluster) url() string           { return c.URL() }
func (c *cluster) past() *outside.Client { return c.Past() }

// slotsMoved is how many slots move at a time.
const slotsMoved = 100

func (c *cluster) faults(f *faults) []fault {
	any := func() *testkit.RedisServer { m := c.Masters(); return m[f.dice.IntN(len(m))] }
	replaced := func(master *testkit.RedisServer, lose, back func()) {
		replica := c.ReplicaOf(master)
		lose()
		testkit.Eventually(f, patience, "the replica takes its master's place", func() bool { return c.IsMaster(replica) && c.Serving() == nil })
		f.pause(0, 500)
		back()
		c.AwaitWhole()
	}
	return []fault{
		{"a master killed", func() { m := any(); replaced(m, m.Kill, m.Start) }},
		{"a master frozen", func() { m := any(); replaced(m, m.Pause, m.Resume) }},
		{"CLUSTER FAILOVER", func() { c.Failover(any()); c.AwaitWhole() }},
		{"slots moved there and back", func() {
			masters := c.Masters()
			from := f.dice.IntN(len(masters))
			a, b := masters[from], masters[(from+1)%len(masters)]
			slots := c.SlotsOf(a)
			at := f.dice.IntN(len(slots) - slotsMoved)
			slots = slots[at : at+slotsMoved]
			c.Move(a, b, slots...)
			f.pause(0, 1000)
			c.Move(b, a, slots...)
		}},
	}
}

package main

import (
	"path/filepath"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/topology"
)

// cluster is a Redis Cluster of three masters with a replica each, over one SQLite file
// that nothing happens to.
type cluster struct {
	*harness
	servers *topology.Cluster
}

func (e *cluster) start(h *harness) setup {
	e.harness, e.servers = h, topology.NewCluster(h.tb, 3, time.Second)
	return setup{instances: 2, redis: e.servers.URL(), tables: tablesOf("sqlite:" + filepath.Join(testkit.TempDir(h.tb, "chaos"), "rows.db"))}
}

func (e *cluster) faults() []fault {
	return []fault{
		{"a master killed, back as a replica", e.lossy(e.kill)},
		{"a master frozen, back as a replica", e.lossy(e.freezeMaster)},
		{"a master frozen, not for long", func() { e.freeze(e.any().Process, 50, 500) }},
		{"CLUSTER FAILOVER", func() { e.servers.Failover(e.any()) }},
		{"slots moved there and back", e.reshard},
		{"a node added, and taken away", e.add},
		{"all connections to a master killed", func() { e.any().Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }},
		{"instance 1 frozen", e.freezeInstance(0)},
	}
}

func (e *cluster) recovered() error { return e.servers.State() }

func (e *cluster) outside() outsider { return e.servers.Past() }

// any is one of the masters.
func (e *cluster) any() *testkit.RedisServer {
	masters := e.servers.Masters()
	return masters[e.dice.IntN(len(masters))]
}

// replaced waits until the replica of a master has taken its place.
func (e *cluster) replaced(master, replica *testkit.RedisServer) {
	testkit.Eventually(e.tb, engineWithin, "the replica of "+master.Addr()+" takes its place", func() bool {
		return e.servers.IsMaster(replica) && e.servers.Serving() == nil
	})
}

func (e *cluster) kill() {
	master := e.any()
	replica := e.servers.ReplicaOf(master)
	master.Kill()
	e.replaced(master, replica)
	e.pause(0, 500)
	master.Start()
}

func (e *cluster) freezeMaster() {
	master := e.any()
	replica := e.servers.ReplicaOf(master)
	master.Pause()
	e.replaced(master, replica)
	e.pause(0, 500)
	master.Resume()
}

// slotsMoved is how many slots move at a time.
const slotsMoved = 100

func (e *cluster) reshard() {
	from := e.any()
	to := e.any()
	for to == from {
		to = e.any()
	}
	slots := e.servers.SlotsOf(from)
	at := e.dice.IntN(len(slots) - slotsMoved)
	slots = slots[at : at+slotsMoved]
	e.servers.Move(from, to, slots...)
	e.pause(0, 1000)
	e.servers.Move(to, from, slots...)
}

func (e *cluster) add() {
	from, added := e.any(), e.servers.Add()
	slots := e.servers.SlotsOf(from)[:slotsMoved]
	e.servers.Move(from, added, slots...)
	e.pause(0, 1000)
	e.servers.Move(added, from, slots...)
	e.servers.Remove(added)
}

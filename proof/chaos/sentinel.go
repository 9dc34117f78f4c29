package main

import (
	"path/filepath"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/topology"
)

// sentinel is a Redis master with two replicas and three sentinels, over one SQLite file
// that nothing happens to.
type sentinel struct {
	*harness
	servers *topology.Sentinels
}

func (e *sentinel) start(h *harness) setup {
	e.harness, e.servers = h, topology.NewSentinels(h.tb, time.Second)
	if h.haste > 1 {
		e.servers.Hasten()
	}
	return setup{instances: 2, redis: e.servers.URL(), tables: tablesOf("sqlite:" + filepath.Join(testkit.TempDir(h.tb, "chaos"), "rows.db"))}
}

func (e *sentinel) faults() []fault {
	return []fault{
		{"the master killed, back as a replica", e.lossy(e.kill)},
		{"the master frozen, back as a replica", e.lossy(e.freezeMaster)},
		{"the master frozen, not for long", func() { e.freeze(e.servers.Master().Process, 50, 500) }},
		{"SENTINEL FAILOVER", e.lossy(e.servers.Failover)},
		{"a sentinel killed", e.killSentinel},
		{"a sentinel frozen", func() { e.freeze(e.any().Process, 100, 3000) }},
		{"all connections to the master killed", func() { e.servers.Master().Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }},
		{"instance 1 frozen", e.freezeInstance(0)},
	}
}

func (e *sentinel) recovered() error { return e.servers.State() }

func (e *sentinel) outside() outsider { return e.servers.Past() }

// any is one of the sentinels.
func (e *sentinel) any() *topology.Sentinel {
	return e.servers.Sentinels[e.dice.IntN(len(e.servers.Sentinels))]
}

// replaced waits until another server is master.
func (e *sentinel) replaced(master *testkit.RedisServer) {
	testkit.Eventually(e.tb, engineWithin, "the sentinels name another master than "+master.Addr(), func() bool {
		now, err := e.servers.Named()
		return err == nil && now != master && e.servers.IsMaster(now)
	})
}

func (e *sentinel) kill() {
	master := e.servers.Master()
	master.Kill()
	e.replaced(master)
	e.pause(0, 500)
	master.Start()
}

func (e *sentinel) freezeMaster() {
	master := e.servers.Master()
	master.Pause()
	e.replaced(master)
	e.pause(0, 500)
	master.Resume()
}

func (e *sentinel) killSentinel() {
	one := e.any()
	one.Kill()
	e.pause(0, 3000)
	one.Start()
}

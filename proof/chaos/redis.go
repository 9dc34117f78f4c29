package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// redis is one Redis server, over one SQLite file that nothing happens to.
type redis struct {
	*harness
	server *testkit.RedisServer
}

func (e *redis) start(h *harness) setup {
	e.harness, e.server = h, testkit.Redis(h.tb)
	return setup{instances: 2, redis: e.server.URL(), tables: tablesOf("sqlite:" + filepath.Join(testkit.TempDir(h.tb, "chaos"), "rows.db"))}
}

func (e *redis) faults() []fault {
	return []fault{
		{"connections of hearth killed", e.killConnections},
		{"all connections to redis killed", func() { e.server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") }},
		{"redis asleep", func() { e.server.Do("DEBUG", "SLEEP", fmt.Sprintf("%.2f", e.between(50, 1000).Seconds())) }},
		{"redis frozen", func() { e.freeze(e.server.Process, 100, 3000) }},
		{"redis emptied", e.flush},
		{"redis killed, back empty", e.restartEmpty},
		{"redis killed, back with old data", e.restartOld},
		{"instance 1 frozen", e.freezeInstance(0)},
		{"instance 2 frozen", e.freezeInstance(1)},
	}
}

func (e *redis) recovered() error {
	_, err := e.server.Try("PING")
	return err
}

func (e *redis) outside() outsider { return outside.One(e.server) }

// killConnections cuts the instances off, and nobody else.
func (e *redis) killConnections() {
	for line := range strings.Lines(e.server.Text("CLIENT", "LIST", "TYPE", "normal")) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.Contains(line, " name=hearth ") {
			continue
		}
		// One that has gone meanwhile is an error, and as good as killed.
		_, _ = e.server.Try("CLIENT", "KILL", "ID", strings.TrimPrefix(fields[0], "id="))
	}
}

func (e *redis) flush() {
	e.records.wiping()
	defer e.records.wiped()
	e.server.Do("FLUSHALL")
}

func (e *redis) restartEmpty() {
	e.records.wiping()
	defer e.records.wiped()
	e.server.Kill()
	e.pause(0, 2500)
	e.server.StartEmpty()
}

// restartOld brings back what Redis held a while ago. It has then lost writes
// that it had acknowledged, and nothing above it can know: every key is given
// up before.
func (e *redis) restartOld() {
	e.server.Do("SAVE")
	e.pause(100, 1000)
	e.writing.Lock()
	defer e.writing.Unlock()
	e.records.giveUpAll(free, row)
	e.server.Kill()
	e.pause(0, 1500)
	e.server.Start()
}

package main

import (
	"fmt"
	"strings"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// database is a database server with a standby, at an address that moves, behind one Redis
// to which nothing happens. What it has committed, it has after each fault.
type database struct {
	*harness
	kind    databaseKind
	calmly  *testkit.RedisServer
	address *testkit.Relay
	server  *testkit.Database // that is the primary
	standby *testkit.Database
}

// databaseKind is what PostgreSQL and MariaDB differ in.
type databaseKind struct {
	pair   func(tb testkit.TB, config ...string) (primary, standby *testkit.Database)
	config string // so that what is committed has reached the operating system, and waits for no standby
	upsert string // what an INSERT does with a row that is there
	own    func(e *database) []fault
}

var (
	postgres = databaseKind{
		pair:   testkit.PostgresPair,
		config: "synchronous_commit = on\nsynchronous_standby_names = ''\nwal_retrieve_retry_interval = '100ms'",
		upsert: "ON CONFLICT (id) DO UPDATE SET v = excluded.v",
		own: func(e *database) []fault {
			return []fault{
				{"all connections to postgres ended", func() {
					e.server.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
				}},
				{"all rows locked", func() {
					e.server.Exec(fmt.Sprintf("BEGIN; LOCK numbers IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(%.2f); COMMIT", e.between(100, 3000).Seconds()))
				}},
			}
		},
	}
	mariadb = databaseKind{
		pair:   testkit.MariaDBPair,
		config: "innodb_flush_log_at_trx_commit = 2\nlog_slave_updates = 1",
		upsert: "ON DUPLICATE KEY UPDATE v = VALUES(v)",
		own: func(e *database) []fault {
			return []fault{
				{"all connections to mariadb killed", e.killAll},
				{"mariadb read-only", func() {
					e.server.Exec("SET GLOBAL read_only = 1")
					e.pause(100, 3000)
					e.server.Exec("SET GLOBAL read_only = 0")
				}},
				{"all rows locked", func() {
					e.server.Exec(fmt.Sprintf("LOCK TABLES numbers WRITE; DO SLEEP(%.2f); UNLOCK TABLES", e.between(100, 3000).Seconds()))
				}},
			}
		},
	}
)

func (e *database) start(h *harness) setup {
	e.harness, e.calmly = h, testkit.Redis(h.tb)
	e.server, e.standby = e.kind.pair(h.tb, e.kind.config)
	e.address = testkit.NewRelay(h.tb, e.server.Addr())
	return setup{instances: 2, redis: e.calmly.URL(), tables: fmt.Sprintf(tables, e.server.URLAt(e.address.Addr()), e.kind.upsert)}
}

func (e *database) faults() []fault {
	return append([]fault{
		{"database killed and started", func() {
			e.server.Kill()
			e.startAgain()
		}},
		{"database stopped and started", func() {
			e.server.Stop()
			e.startAgain()
		}},
		{"database frozen", func() {
			e.server.Pause()
			e.pause(100, 3000)
			e.server.Resume()
		}},
		{"the standby promoted, the primary its standby", func() {
			testkit.SwitchOver(e.server, e.standby, func() { e.address.Retarget(e.standby.Addr()) })
			e.server, e.standby = e.standby, e.server
		}},
		{"database unreachable", func() {
			e.address.Retarget("")
			e.address.Cut()
			e.pause(100, 3000)
			e.address.Retarget(e.server.Addr())
		}},
	}, e.kind.own(e)...)
}

// startAgain starts the primary again after a while. One that was a standby once would be
// read-only by its configuration.
func (e *database) startAgain() {
	e.pause(0, 1500)
	e.server.Start()
	e.server.SetReadOnly(false)
}

func (e *database) recovered() error { return nil } // each fault ends when the server answers

func (e *database) outside() outsider { return outside.One(e.calmly) }

// killAll ends every other connection to MariaDB.
func (e *database) killAll() {
	var kills []string
	for _, row := range e.server.Query("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user IN ('root', 'hearth')") {
		// One that has gone meanwhile is an error, and as good as killed.
		kills = append(kills, fmt.Sprintf("BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; KILL %s; END", row[0]))
	}
	e.server.Exec("DELIMITER //\n" + strings.Join(kills, "//\n") + "//\n")
}

package testkit

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Databases that fail over: a primary and a standby that follows it, each on a server of
// its own. Promote makes the standby a primary, as an operator or a fail-over manager
// does. Nothing here fences the old primary: a test stops, kills, freezes or demotes it,
// whichever it is about.

// appUser is an account without the right to write to a server that is read-only, as
// applications have: root has it.
const appUser = "hearth"

// PostgresPair returns a database on a primary, and the same one on a hot standby that
// streams from it. The primary confirms a COMMIT when the standby has applied it, so a
// fail-over loses nothing that was acknowledged; a test about a standby that lags says
// `synchronous_standby_names = ”` in config, lines for postgresql.conf of both.
func PostgresPair(tb TB, config ...string) (primary, standby *Database) {
	tb.Helper()
	config = append([]string{"synchronous_commit = remote_apply", "synchronous_standby_names = '*'"}, config...)
	// Without these lines at first: no COMMIT would be confirmed until there is a standby.
	primary = Postgres(tb, OwnServer())
	standby = primary.follower(tb)
	s := standby.server
	s.run(tb, NeedPostgres(tb, "pg_basebackup"), "--pgdata="+s.data(), "--dbname="+primary.server.url(primary.server, "postgres", ""),
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	configurePostgresFile(tb, s, append([]string{fmt.Sprintf("port = %d", s.port), fmt.Sprintf("unix_socket_directories = '%s'", s.dir)}, config...))
	standby.Start()
	configurePostgresFile(tb, primary.server, config)
	primary.Exec("SELECT pg_reload_conf()")
	awaitStreaming(primary)
	return primary, standby
}

// awaitStreaming waits until a standby of a PostgreSQL streams.
func awaitStreaming(primary *Database) {
	primary.tb.Helper()
	Eventually(primary.tb, startWithin, "the standby streams", func() bool {
		return primary.Text("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"
	})
}

// MariaDBPair returns a database on a primary, and the same one on a replica that
// applies its binary log and is read-only. Both have the account that URL names, to
// which read_only applies; Exec and Query use one to which it does not. config are
// lines for [mysqld] of both.
func MariaDBPair(tb TB, config ...string) (primary, standby *Database) {
	tb.Helper()
	common := append([]string{"log-bin = binlog", "binlog_format = ROW", "sync_binlog = 0", "slave_net_timeout = 5"}, config...)
	primary = MariaDB(tb, OwnServer(append(common, "server-id = 1")...))
	primary.account = appUser
	primary.Exec(fmt.Sprintf("CREATE USER %s@'127.0.0.1'; GRANT ALL ON %s.* TO %[1]s@'127.0.0.1'", appUser, primary.name))
	standby = primary.follower(tb)
	s := standby.server
	configureMariaDB(tb, s, append(common, "server-id = 2", "read_only = 1"))
	standby.Start()
	s.ask(tb, "", fmt.Sprintf(`CHANGE MASTER TO master_host='127.0.0.1', master_port=%d, master_user='root', master_use_gtid=slave_pos, master_connect_retry=1; START SLAVE`,
		primary.server.port))
	standby.awaitPosition(primary)
	return primary, standby
}

// follower is the same database on a server of its own that is not initialised yet.
func (d *Database) follower(tb TB) *Database {
	tb.Helper()
	f := &Database{tb: tb, own: true, name: d.name, account: d.account}
	f.server = d.server.prepare(tb, tempDir(tb, inMemory(), d.server.program), FreePort(tb))
	f.server.clientPath = d.server.clientPath
	return f
}

// awaitPosition waits until a replica of MariaDB has applied all that the primary has
// written so far.
func (d *Database) awaitPosition(primary *Database) {
	d.tb.Helper()
	position := primary.server.ask(d.tb, "", "SELECT @@gtid_binlog_pos")
	got := d.server.ask(d.tb, "", fmt.Sprintf("SELECT MASTER_GTID_WAIT('%s', %d)", strings.TrimSpace(position), int(startWithin.Seconds())))
	if strings.TrimSpace(got) != "0" {
		d.tb.Fatalf("the replica has not applied what the primary has written: MASTER_GTID_WAIT says %s", got)
	}
}

// Promote makes a standby a primary, and returns when it takes writes. A replica of
// MariaDB has applied all that it has received by then; whether that is all that the
// primary has confirmed is the test's to see to, by CatchUp or semi-synchronous
// replication: rpl_semi_sync_slave_enabled in config, and rpl_semi_sync_master_enabled set
// when both servers are there, for until then the primary would confirm nothing.
func (d *Database) Promote() {
	d.tb.Helper()
	if d.server.engine == mariaDB {
		d.server.ask(d.tb, "", "STOP SLAVE IO_THREAD")
		const applied = "SELECT count(*) FROM information_schema.processlist WHERE command = 'Slave_SQL' AND state LIKE 'Slave has read all relay log%'"
		Eventually(d.tb, startWithin, "the replica has applied what it has received", func() bool {
			return strings.TrimSpace(d.server.ask(d.tb, "", applied)) == "1"
		})
		// A primary waits for no replica until it has one.
		d.server.ask(d.tb, "", "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL rpl_semi_sync_master_enabled = 0; SET GLOBAL read_only = 0")
		return
	}
	// A primary waits for no standby until it has one.
	d.server.ask(d.tb, "postgres", "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf(); SELECT pg_promote()")
}

// SwitchOver makes a standby the primary and the primary its standby, as planned before
// maintenance: nothing that was confirmed is lost. A PostgreSQL is ended meanwhile, with
// its connections; those to a MariaDB stay, and find it read-only. It can be done again
// the other way round; MariaDB needs `log_slave_updates = 1` for that. promoted, if it is
// not nil, is called when the standby takes writes, before the old primary follows it.
func SwitchOver(primary, standby *Database, promoted func()) {
	primary.tb.Helper()
	if promoted == nil {
		promoted = func() {}
	}
	if primary.server.engine == mariaDB {
		primary.SetReadOnly(true)
		standby.CatchUp(primary)
		standby.Promote()
		promoted()
		primary.server.ask(primary.tb, "", fmt.Sprintf("CHANGE MASTER TO master_host='127.0.0.1', master_port=%d, master_user='root', master_use_gtid=current_pos, master_connect_retry=1; START SLAVE",
			standby.server.port))
		return
	}
	awaitStreaming(primary)
	primary.Stop() // it waits until a standby that streams has everything
	standby.Promote()
	promoted()
	s := primary.server
	configurePostgresFile(primary.tb, s, []string{
		fmt.Sprintf("primary_conninfo = '%s'", standby.server.url(standby.server, "postgres", "")),
		"wal_retrieve_retry_interval = '100ms'",
	})
	writeFile(primary.tb, filepath.Join(s.data(), "standby.signal"), "")
	primary.Start()
}

// CatchUp waits until the standby has applied all that the primary has written so far.
func (d *Database) CatchUp(primary *Database) {
	d.tb.Helper()
	if d.server.engine == mariaDB {
		d.awaitPosition(primary)
		return
	}
	position := primary.Text("SELECT pg_current_wal_lsn()")
	Eventually(d.tb, startWithin, "the standby has applied what the primary has written", func() bool {
		return d.Text("SELECT pg_last_wal_replay_lsn() >= '"+position+"'") == "t"
	})
}

// SetReadOnly has the server refuse writes from now on, or take them again, and ends no
// connection: what fail-over managers and managed services do to an old primary.
func (d *Database) SetReadOnly(on bool) {
	d.tb.Helper()
	value := "off"
	if on {
		value = "on"
	}
	if d.server.engine == mariaDB {
		d.server.ask(d.tb, "", "SET GLOBAL read_only = "+value)
		return
	}
	d.server.ask(d.tb, "postgres", "ALTER SYSTEM SET default_transaction_read_only = "+value+"; SELECT pg_reload_conf()")
}

// URLAt is URL with another address, such as a Relay's, or several of them with commas
// between.
func (d *Database) URLAt(addrs ...string) string {
	return strings.Replace(d.URL(), d.Addr(), strings.Join(addrs, ","), 1)
}

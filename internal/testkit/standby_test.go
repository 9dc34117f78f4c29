package testkit_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"hearth/internal/testkit"
)

// TestDatabasesFailOver: what is confirmed on the primary is on the standby, which takes
// no writes until it is promoted, and a relay leads new connections to it.
func TestDatabasesFailOver(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string]func(testkit.TB, ...string) (primary, standby *testkit.Database){
		"PostgreSQL": testkit.PostgresPair, "MariaDB": testkit.MariaDBPair,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby := pair(t)
			primary.Exec("CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (1)")
			standby.CatchUp(primary)
			if got := standby.Text("SELECT n FROM t"); got != "1" {
				t.Errorf("the standby has %s, want 1", got)
			}
			standby.Promote()
			standby.Exec("INSERT INTO t VALUES (2)")
			primary.SetReadOnly(true)
			if primary.URL() == standby.URL() || primary.URLAt(standby.Addr()) != standby.URL() {
				t.Errorf("addresses %s and %s", primary.URL(), standby.URL())
			}
			// The old one waits for a standby that is none any more, so it confirms nothing.
			if got := primary.Text("SELECT count(*) FROM t"); got != "1" {
				t.Errorf("the old primary has %s records, want 1", got)
			}
		})
	}
}

// TestDatabasesSwitchOver: two servers change places, in the long form also back, and
// nothing is lost.
func TestDatabasesSwitchOver(t *testing.T) {
	t.Parallel()
	f := func(name, config string, pair func(testkit.TB, ...string) (primary, standby *testkit.Database)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary, standby := pair(t, config)
			primary.Exec("CREATE TABLE t (n int PRIMARY KEY)")
			times := 1
			if testkit.Long() {
				times = 2
			}
			for n := range times {
				primary.Exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
				testkit.SwitchOver(primary, standby, nil)
				primary, standby = standby, primary
			}
			primary.Exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", times))
			standby.CatchUp(primary)
			if got := standby.Text("SELECT count(*) FROM t"); got != fmt.Sprint(times+1) {
				t.Errorf("the standby has %s records, want %d", got, times+1)
			}
		})
	}
	f("PostgreSQL", "synchronous_standby_names = ''", testkit.PostgresPair)
	f("MariaDB", "log_slave_updates = 1", testkit.MariaDBPair)
}

// TestRelayMoves: new connections lead to the new server, and what is open stays.
func TestRelayMoves(t *testing.T) {
	t.Parallel()
	serve := func(says string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, says)
			}
		}()
		return l.Addr().String()
	}
	relay := testkit.NewRelay(t, serve("a"))
	hear := func() (string, net.Conn) {
		t.Helper()
		conn, err := net.Dial("tcp", relay.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		said := make([]byte, 1)
		n, _ := conn.Read(said)
		return string(said[:n]), conn
	}
	got, open := hear()
	relay.Retarget(serve("b"))
	second, _ := hear()
	relay.Retarget("")
	if third, _ := hear(); got != "a" || second != "b" || third != "" || relay.Dials() != 3 {
		t.Errorf("heard %q, %q and %q in %d connections, want a, b and nothing in 3", got, second, third, relay.Dials())
	}
	relay.Cut()
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that was cut says something")
	}
}

package testkit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
)

func TestMariaDBDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	a, b := testkit.MariaDB(t), testkit.MariaDB(t)
	a.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text);
		INSERT INTO users VALUES (1, '张三'), (2, NULL)`)
	want := [][]string{{"1", "张三"}, {"2", "NULL"}}
	if diff := cmp.Diff(want, a.Query("SELECT id, name FROM users ORDER BY id")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	const tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()"
	if got := b.Int(tables); got != 0 {
		t.Error("the second database has the first one's table")
	}
	if a.URL() == b.URL() || a.Addr() != b.Addr() {
		t.Errorf("URLs %s and %s: want two databases of one server", a.URL(), b.URL())
	}
}

func TestMariaDBOwnServer(t *testing.T) {
	t.Parallel()
	m := testkit.MariaDB(t, testkit.OwnServer("max_connections = 17"))
	if got := m.Int("SELECT @@max_connections"); got != 17 {
		t.Errorf("max_connections = %d, want 17", got)
	}
	m.Exec("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
	f := func(how string, end func()) {
		t.Helper()
		end()
		if testkit.Listening(m.Addr()) {
			t.Errorf("after %s something listens on %s", how, m.Addr())
		}
		m.Start()
		if got := m.Int("SELECT n FROM t"); got != 7 {
			t.Errorf("after %s and Start n = %d, want 7", how, got)
		}
	}
	f("Stop", m.Stop)
	f("Kill", m.Kill)
	m.Pause() // the clean-up ends a paused one too
}

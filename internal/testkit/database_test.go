package testkit_test

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
)

// engines are the databases that systems of record may be.
var engines = []struct {
	name   string
	open   func(tb testkit.TB, opts ...testkit.ServerOption) *testkit.Database
	null   string // as Query shows it
	tables string // asks how many tables the database has
	limit  string // asks for max_connections
}{
	{
		"PostgreSQL", testkit.Postgres, "",
		"SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", "SELECT current_setting('max_connections')",
	},
	{
		"MariaDB", testkit.MariaDB, "NULL",
		"SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE()", "SELECT @@max_connections",
	},
}

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		a, b := e.open(t), e.open(t)
		a.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text);
			INSERT INTO users VALUES (1, '张三'), (2, NULL)`)
		want := [][]string{{"1", "张三"}, {"2", e.null}}
		if diff := cmp.Diff(want, a.Query("SELECT id, name FROM users ORDER BY id")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", e.name, diff)
		}
		want = append(want, []string{"2"})
		if diff := cmp.Diff(want, a.Query("SELECT id, name FROM users ORDER BY id; SELECT count(*) FROM users")); diff != "" {
			t.Errorf("%s: two statements (-want +got)\n%s", e.name, diff)
		}
		if got := a.Int("SELECT count(*) FROM users"); got != 2 {
			t.Errorf("%s: count = %d, want 2", e.name, got)
		}
		if got := b.Int(e.tables); got != 0 {
			t.Errorf("%s: the second database has the first one's table", e.name)
		}
		if a.URL() == b.URL() || a.Addr() != b.Addr() {
			t.Errorf("%s: URLs %s and %s: want two databases of one server", e.name, a.URL(), b.URL())
		}
		fails(t, "nothing", func(tb testkit.TB) { e.open(tb).Exec("SELECT 1; SELECT nothing") })
		fails(t, "other tests share it", func(tb testkit.TB) { e.open(tb).Stop() })
	}
}

func TestDatabaseOnItsOwnServer(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		d := e.open(t, testkit.OwnServer("max_connections = 17"))
		if got := d.Int(e.limit); got != 17 {
			t.Errorf("%s: max_connections = %d, want 17", e.name, got)
		}
		d.Exec("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
		f := func(how string, end func()) {
			t.Helper()
			end()
			if testkit.Listening(d.Addr()) {
				t.Errorf("%s: after %s something listens on %s", e.name, how, d.Addr())
			}
			d.Start()
			if got := d.Int("SELECT n FROM t"); got != 7 {
				t.Errorf("%s: after %s and Start n = %d, want 7", e.name, how, got)
			}
		}
		f("Stop", d.Stop)
		if e.null == "" {
			d.Exec("CHECKPOINT")
		}
		f("Kill", d.Kill)
		f("Pause and Kill", func() { d.Pause(); d.Kill() })
		d.Pause() // the clean-up ends a paused one too
	}
	fails(t, "no_such_setting", func(tb testkit.TB) { testkit.Postgres(tb, testkit.OwnServer("no_such_setting = 1")) })
}

func TestPostgresPauseStopsBackends(t *testing.T) {
	t.Parallel()
	p := testkit.Postgres(t, testkit.OwnServer())
	psql := exec.Command(testkit.NeedPostgres(t, "psql"), "-XAtq", p.URL())
	in, err := psql.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := psql.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := psql.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	ask := func(sql string) {
		t.Helper()
		if _, err := io.WriteString(in, sql+";\n"); err != nil {
			t.Fatal(err)
		}
	}
	ask("SELECT 1")
	if got := <-lines; got != "1" {
		t.Errorf("psql printed %q, want 1", got)
	}
	p.Pause()
	ask("SELECT 2")
	select {
	case got := <-lines:
		t.Errorf("a paused server answered %q", got)
	case <-time.After(50 * time.Millisecond):
	}
	p.Resume()
	if got := <-lines; got != "2" {
		t.Errorf("psql printed %q, want 2", got)
	}
	p.Stop() // cuts psql off
	_ = in.Close()
	for range lines {
	}
	_ = psql.Wait()
}

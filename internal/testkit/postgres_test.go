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

func TestPostgresDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	a, b := testkit.Postgres(t), testkit.Postgres(t)
	a.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text);
		INSERT INTO users VALUES (1, '张三'), (2, NULL)`)
	want := [][]string{{"1", "张三"}, {"2", ""}}
	if diff := cmp.Diff(want, a.Query("SELECT id, name FROM users ORDER BY id")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := a.Int("SELECT count(*) FROM users"); got != 2 {
		t.Errorf("count = %d, want 2", got)
	}
	if got := b.Text("SELECT to_regclass('users') IS NULL"); got != "t" {
		t.Error("the second database has the first one's table")
	}
	if a.URL() == b.URL() || a.Addr() != b.Addr() {
		t.Errorf("URLs %s and %s: want two databases of one server", a.URL(), b.URL())
	}
}

func TestPostgresOwnServer(t *testing.T) {
	t.Parallel()
	p := testkit.Postgres(t, testkit.OwnServer("max_connections = 17"))
	if got := p.Text("SHOW max_connections"); got != "17" {
		t.Errorf("max_connections = %s, want 17", got)
	}
	p.Exec("CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
	f := func(how string, end func()) {
		t.Helper()
		end()
		if testkit.Listening(p.Addr()) {
			t.Errorf("after %s something listens on %s", how, p.Addr())
		}
		p.Start()
		if got := p.Int("SELECT n FROM t"); got != 7 {
			t.Errorf("after %s and Start n = %d, want 7", how, got)
		}
	}
	f("Stop", p.Stop)
	f("Kill", func() { p.Exec("CHECKPOINT"); p.Kill() })
	f("Pause and Kill", func() { p.Pause(); p.Kill() })
	p.Pause() // the clean-up ends a paused one too
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

package process

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestPostgres(t *testing.T) {
	p, err := StartPostgres(t.Context(), t.TempDir(), "max_connections = 7")
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = p.Stop()
		}
	}()
	f := func(sql string, want ...[]string) {
		t.Helper()
		got, err := p.Query(t.Context(), sql)
		if err != nil || !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Errorf("%s: got %q, %v, want %q", sql, got, err, want)
		}
	}
	f("SHOW max_connections", []string{"7"})
	f("SHOW listen_addresses", []string{"127.0.0.1"})
	f("CREATE TABLE t (id int, name text)")
	f("INSERT INTO t VALUES (1, 'a b'), (2, NULL)")
	f("SELECT * FROM t ORDER BY id; SELECT count(*) FROM t", []string{"1", "a b"}, []string{"2", ""}, []string{"2"})
	if _, err := p.Query(t.Context(), "SELECT 1; SELECT nothing"); err == nil || !strings.Contains(err.Error(), `column "nothing" does not exist`) {
		t.Errorf("got %v, want what PostgreSQL says", err)
	}
	stopped = true
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory: %v, want that it is gone", err)
	}
	if _, err := p.Query(t.Context(), "SELECT 1"); err == nil {
		t.Error("it still answers")
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("stopping it twice: got %v, want that it had ended", err)
	}
}

func TestPostgresWithBadConfiguration(t *testing.T) {
	p, err := StartPostgres(t.Context(), t.TempDir(), "no_such_setting = 1")
	if err == nil {
		_ = p.Stop()
		t.Fatal("it was started")
	}
	if !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("got %v, want its log", err)
	}
}

package testkit

import (
	"path/filepath"
	"strings"
	"testing"
)

// Statements run one after the other on one connection, and each is answered before the
// next is given.
func TestSession(t *testing.T) {
	t.Parallel()
	open := map[string]func(t *testing.T) (*Session, error){
		"psql":    func(t *testing.T) (*Session, error) { return Postgres(t).Session() },
		"mariadb": func(t *testing.T) (*Session, error) { return MariaDB(t).Session() },
		"sqlite3": func(t *testing.T) (*Session, error) { return SQLite(filepath.Join(t.TempDir(), "rows.db")) },
	}
	for name, start := range open {
		t.Run(name, func(t *testing.T) {
			s, err := start(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			f := func(sql, want string) {
				t.Helper()
				if got, err := s.Do(sql); err != nil || got != want {
					t.Fatalf("%s: got %q, %v, want %q", sql, got, err, want)
				}
			}
			f("CREATE TABLE numbers (id BIGINT PRIMARY KEY, v BIGINT NOT NULL);", "")
			f("BEGIN; INSERT INTO numbers VALUES (1, 2); INSERT INTO numbers VALUES (2, 3);", "")
			f("COMMIT;", "")
			f("SELECT sum(v) FROM numbers;", "5\n")
			if _, err := s.Do("SELECT nothing FROM nowhere;"); err == nil || !strings.Contains(err.Error(), "nowhere") {
				t.Errorf("a statement that is wrong: %v", err)
			}
		})
	}
}

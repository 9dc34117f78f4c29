package sqltext

import "testing"

func TestCountsRows(t *testing.T) {
	t.Parallel()
	f := func(d Dialect, sql string, want bool) {
		t.Helper()
		s, err := Parse(d, sql, nil, false)
		if err != nil {
			t.Errorf("%q: %v", sql, err)
		} else if s.CountsRows != want {
			t.Errorf("%q: got %v, want %v", sql, s.CountsRows, want)
		}
	}
	for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
		f(d, "INSERT INTO t", true)
		f(d, "\n  update t", true)
		f(d, "-- INSERT\n/* a\n */ Replace into t", true)
		f(d, "MERGE", true)
		f(d, "(INSERT INTO t)", true)
		f(d, "WITH x AS (SELECT 1) INSERT INTO t", false)
		f(d, "CALL p(1)", false)
		f(d, "SELECT f(1)", false)
		f(d, "insertion", false)
		f(d, "'INSERT'", false)
		f(d, "-- nothing", false)
	}
	f(MySQL, "# once\nINSERT INTO t", true)
}

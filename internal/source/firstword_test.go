package source

import "testing"

func TestFirstWord(t *testing.T) {
	t.Parallel()
	f := func(sql, want string, tells bool) {
		t.Helper()
		if got := firstWord(sql); got != want || tellsRows(sql) != tells {
			t.Errorf("%q: got %q, tells %v, want %q, %v", sql, got, tellsRows(sql), want, tells)
		}
	}
	f("INSERT INTO t", "INSERT", true)
	f("\n  update t", "update", true)
	f("-- INSERT\n/* a\n */ Replace into t", "Replace", true)
	f("MERGE", "MERGE", true)
	f("WITH x AS (SELECT 1) INSERT INTO t", "WITH", false)
	f("CALL p(1)", "CALL", false)
	f("SELECT f($1)", "SELECT", false)
	f("insertion", "insertion", false)
	f("-- nothing", "", false)
	f("/* nothing", "", false)
	f("", "", false)
}

package sqltext

import (
	"slices"
	"strings"
	"testing"
)

// TestParseRow: a query about a changed row knows the columns of that row, and nothing
// else.
func TestParseRow(t *testing.T) {
	t.Parallel()
	f := func(text, columns, wrong string) {
		t.Helper()
		for _, d := range []Dialect{SQLite, PostgreSQL, MySQL} {
			s, err := ParseRow(d, text)
			switch {
			case wrong != "":
				if err == nil || !strings.Contains(err.Error(), wrong) {
					t.Errorf("%v: %s: got %v, want an error with %q", d, text, err, wrong)
				}
			case err != nil:
				t.Errorf("%v: %s: %v", d, text, err)
			default:
				if got := s.Columns(); !slices.Equal(got, strings.Fields(columns)) {
					t.Errorf("%v: %s: got the columns %q, want %q", d, text, got, columns)
				}
			}
		}
	}
	f("SELECT a FROM t WHERE b = {row.b} AND c IN ({row.c}, {row.b})", "b c", "")
	f("(SELECT a FROM t WHERE b = {row.b}) UNION (SELECT {row.Id})", "b Id", "")
	f("WITH x AS (SELECT {row.b} AS b) SELECT b FROM x;", "b", "")
	f("SELECT '{other}', '{}' FROM t", "", "")
	f("SELECT '{row.b}'", "", "stands inside quotes")
	f("SELECT {row}", "", "is written {row.column}")
	f("SELECT {row.b.c}", "", "is written {row.column}")
	f("SELECT {row.b?}", "", "is written {row.column}")
	f("SELECT {id}", "", "unknown placeholder {id}")
	f("SELECT {body.id}", "", "unknown placeholder {body.id}; a column of the changed row")
	f("SELECT 1; SELECT 2", "", "more than one statement")
	f("UPDATE t SET a = 1 WHERE b = {row.b}", "", "is no query")
	f("DELETE FROM t", "", "is no query")
	f("CALL p({row.b})", "", "is no query")
	f(" ", "", "is empty")
	f("SELECT \x00", "", "NUL")
}

package outbox

import (
	"strings"
	"testing"

	"hearth/internal/source/engine"
)

// TestText: what is printed is what the database's own client takes.
func TestText(t *testing.T) {
	t.Parallel()
	s := &Script{
		Notes:      []string{"one note", strings.Repeat("word ", 30)},
		Statements: []string{"CREATE TABLE a (b int);\n", "CREATE TRIGGER t BEGIN SELECT 1 // 2; END"},
	}
	notes := "-- * one note\n-- * " + strings.TrimSpace(strings.Repeat("word ", 19)) + "\n--   " + strings.TrimSpace(strings.Repeat("word ", 11)) + "\n"
	for url, want := range map[string]string{
		"postgres://h/d": notes + "BEGIN;\nSET LOCAL lock_timeout = '2s';\nCREATE TABLE a (b int);\nCREATE TRIGGER t BEGIN SELECT 1 // 2; END;\nCOMMIT;\n",
		"mysql://h/d":    notes + "CREATE TABLE a (b int);\nDELIMITER ///\nCREATE TRIGGER t BEGIN SELECT 1 // 2; END///\nDELIMITER ;\n",
		"sqlite:f.db":    notes + "BEGIN IMMEDIATE;\nCREATE TABLE a (b int);\nCREATE TRIGGER t BEGIN SELECT 1 // 2; END;\nCOMMIT;\n",
	} {
		o, err := New(engine.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Text(s); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", url, got, want)
		}
	}
	o, err := New(engine.Config{URL: "postgres://h/d"})
	if err != nil {
		t.Fatal(err)
	}
	s.Statements = append([]string{lockTimeout}, s.Statements...)
	if got := o.Text(s); strings.Count(got, lockTimeout) != 1 {
		t.Errorf("the lock's time is bounded twice:\n%s", got)
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	tablesBegin = "<!-- tables: written by go test -run TestHTTPDocument -update, from testdata/http -->\n"
	tablesEnd   = "<!-- end of tables -->\n"
)

// TestHTTPDocument holds the tables of docs/http.md against the corpus that
// TestHTTP plays, so that the page says what the program does.
func TestHTTPDocument(t *testing.T) {
	path := filepath.Join("docs", "http.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), tablesBegin)
	_, after, closed := strings.Cut(rest, tablesEnd)
	if !found || !closed {
		t.Fatalf("%s lacks the marks of its tables", path)
	}
	want := before + tablesBegin + tables(readCorpus(t)) + tablesEnd + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(page)); diff != "" {
		t.Errorf("%s differs from testdata/http; go test -run TestHTTPDocument -update . writes it (-want +got):\n%s", path, diff)
	}
}

func tables(chapters []chapter) string {
	var b strings.Builder
	for _, c := range chapters {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| what comes | listener | answer | connection | RFC |\n|---|---|---|---|---|\n", c.title, c.intro)
		for _, x := range c.cases {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell(x.title), strings.Join(x.at, ", "), x.outcome(), x.fate(), x.rfc)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// cell is text in a table: what looks like markup is none.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(text)
}

// outcome names the statuses of a case, that of the last request where there is
// one answer to each of several.
func (x exchange) outcome() string {
	var all []string
	for _, a := range x.answers {
		all = append(all, fmt.Sprint(a.status))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func (x exchange) fate() string {
	if x.open {
		return "stays open"
	}
	return "closed"
}

package test

import (
	"fmt"
	"hearth/internal/testkit/launch"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	tablesBegin = "<!-- tables: written by go test ./test -run TestHTTPDocument -update, from test/testdata/http -->\n"
	tablesEnd   = "<!-- end of tables -->\n"
)

// TestHTTPDocument holds the tables of docs/http.md against the corpus that
// TestHTTP plays, so that the page says what the program does.
func TestHTTPDocument(t *testing.T) {
	t.Parallel()
	path := filepath.Join(launch.Root(t), "docs", "http.md")
	page, err := os.ReadFile(path)
	must(t, err)
	before, rest, found := strings.Cut(string(page), tablesBegin)
	_, after, closed := strings.Cut(rest, tablesEnd)
	if !found || !closed {
		t.Fatalf("%s lacks the marks of its tables", path)
	}
	want := before + tablesBegin + tables(readCorpus(t)) + tablesEnd + after
	if *update {
		must(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	if diff := cmp.Diff(want, string(page)); diff != "" {
		t.Errorf("%s differs from testdata/http; go test ./test -run TestHTTPDocument -update writes it (-want +got):\n%s", path, diff)
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

// TestDocsNameWhatIsThere looks up the files and directories that the pages name or link
// to: those with a slash in the module or beside the page, Go files also by their names
// alone.
func TestDocsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	root := launch.Root(t)
	names := map[string]bool{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		names[filepath.Base(path)] = true
		return err
	}))
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		must(t, err)
		pages = append(pages, found...)
	}
	named := regexp.MustCompile("`((?:internal|cache|handlers|test|proof|bench|deploy|scripts|docs)/[\\w./-]*|[\\w./-]+\\.go)`" + `|\]\(([\w./-]+)(?:#[^)]*)?\)`)
	found := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		must(t, err)
		for _, match := range named.FindAllStringSubmatch(string(text), -1) {
			found++
			name := match[1] + match[2]
			_, inModule := os.Stat(filepath.Join(root, name))
			_, beside := os.Stat(filepath.Join(filepath.Dir(page), name))
			if inModule != nil && beside != nil && (strings.Contains(name, "/") || !names[name]) {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
	if found < 150 {
		t.Errorf("the pages name %d files", found)
	}
}

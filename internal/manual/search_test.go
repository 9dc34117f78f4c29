package manual_test

import (
	"regexp"
	"strings"
	"testing"

	"hearth/internal/manual"
)

var resultLink = regexp.MustCompile(`<li><a href="(/manual/[^"]+#[^"]*)">(.*?)</a> <span`)

func TestSearch(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		page := string(manual.Search(query))
		first := resultLink.FindStringSubmatch(page)
		if want == "" && first == nil {
			return
		}
		if first == nil || !strings.Contains(first[1], want) {
			t.Errorf("%q finds %q first, want %q", query, first, want)
		}
	}
	f("ports health", "operations.md#ports-and-health")   // words of a title
	f("PORTS heal", "operations.md#ports-and-health")     // small or not, and beginnings
	f("orts health", "")                                  // no ends
	f("wait_replicas", "configuration.md#redis")          // a name where a table explains it
	f("replicas", ".md#")                                 // a part of a name
	f("PgBouncer", ".md#")                                // in texts only
	f("/readyz", ".md#")                                  // not a word
	f("pgbouncer nothingofthekind", "")                   // all words
	f("types", "types.md#")                               // a title comes before a text
	f("", "")                                             // nothing is asked for
	f(strings.Repeat("é", manual.MaxQuery)+" stale", "")  // the query is cut, at a character
	f("\xff ports health", "operations.md#ports-and-hea") // not UTF-8
}

func TestSearchMarksWhatItFinds(t *testing.T) {
	page := string(manual.Search("PGBOUNCER"))
	if !strings.Contains(page, "<mark>PgBouncer</mark>") || !strings.Contains(page, `value="PGBOUNCER"`) {
		t.Errorf("the word is not marked as the text has it:\n%.2000s", page)
	}
}

func TestSearchIsBounded(t *testing.T) {
	page := string(manual.Search("the"))
	if n := len(resultLink.FindAllString(page, -1)); n != 30 || !strings.Contains(page, "these are the first 30") {
		t.Errorf("%d results, want 30 and a word about it", n)
	}
	if len(page) > 40_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// FuzzSearch asks for anything: a page comes back, and no markup that the query has.
func FuzzSearch(f *testing.F) {
	for _, query := range []string{"stale", "İ K ſ", "<b", "\" onfocus=\"", "é…", "\x00", "- / .", "→"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		page := string(manual.Search("<i " + query))
		if !strings.HasSuffix(page, "</html>\n") || strings.Contains(page, "<i ") || !strings.Contains(page, `value="&lt;i`) {
			t.Errorf("%q: %.1500s", query, page)
		}
	})
}

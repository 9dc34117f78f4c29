package manual_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"hearth/internal/manual/markdown"
)

var update = flag.Bool("update", false, "write the pages from docs/")

// made are the pages that docs/ makes now.
var made = sync.OnceValues(func() (map[string][]byte, error) { return markdown.Pages(os.DirFS("../../docs")) })

// TestPagesAreWhatDocsSay holds the embedded pages against docs/.
func TestPagesAreWhatDocsSay(t *testing.T) {
	want, err := made()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("pages/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if _, ok := want[filepath.Base(file)]; ok {
			continue
		}
		if !*update {
			t.Errorf("%s has no document any more; run go generate ./internal/manual", file)
		} else if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
	for name, content := range want {
		file := filepath.Join("pages", name)
		if *update {
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Error(err)
			}
		} else if got, err := os.ReadFile(file); !bytes.Equal(got, content) {
			t.Errorf("%s is not what docs/ says now (%v); run go generate ./internal/manual", file, err)
		}
	}
}

// TestLinksLeadSomewhere follows every link inside the manual to its page and heading.
func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := made()
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		own, isPage := strings.CutSuffix(name, ".html")
		if !isPage {
			continue
		}
		for _, link := range links.FindAllSubmatch(pages[name], -1) {
			to := string(link[1])
			if strings.HasPrefix(to, "https://") {
				continue
			}
			target, anchor, _ := strings.Cut(to, "#")
			target, inside := strings.CutPrefix(target, markdown.Prefix)
			if !inside {
				target = own
			}
			page, found := pages[target+".html"]
			if _, drawing := pages[target]; !found && !drawing {
				t.Errorf("%s links to %s, which is not in the manual", name, to)
			}
			if anchor != "" && !bytes.Contains(page, []byte(` id="`+anchor+`"`)) {
				t.Errorf("%s links to %s, and no heading there has that name", name, to)
			}
		}
	}
}

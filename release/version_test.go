package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestVersionsSort checks that what git describe says becomes a version that dpkg and
// rpm accept, and that both sort it as it should be.
func TestVersionsSort(t *testing.T) {
	// Each is older than the next.
	table := []struct{ described, want string }{
		{"unknown-dirty", "0.0~20250101000000.unknown.dirty"},
		{"a872b5b", "0.0~20251125013000.a872b5b"},
		{"a872b5b-dirty", "0.0~20251125013000.a872b5b.dirty"},
		{"1872b5b", "0.0~20251126013000.1872b5b"},
		{"v1.0.0-rc.1", "1.0.0~rc.1"},
		{"v1.0.0-rc.1-3-gabc1234", "1.0.0~rc.1+3.gabc1234"},
		{"v1.0.0-rc.2", "1.0.0~rc.2"},
		{"v1.0.0", "1.0.0"},
		{"v1.0.0-dirty", "1.0.0+0.dirty"},
		{"v1.0.0-2-gfff1234", "1.0.0+2.gfff1234"},
		{"v1.0.0-10-gabc1234", "1.0.0+10.gabc1234"},
		{"v1.0.0-10-gabc1234-dirty", "1.0.0+10.gabc1234.dirty"},
		{"v1.0.1", "1.0.1"},
	}
	times := map[string]int64{"unknown-dirty": 1735689600, "1872b5b": 1764120600}
	before := "0.0~"
	for _, row := range table {
		at := times[row.described]
		if at == 0 {
			at = 1764034200
		}
		got := packageVersion(row.described, time.Unix(at, 0))
		if got != row.want {
			t.Errorf("of %q it makes %q, want %q", row.described, got, row.want)
		}
		if err := exec.Command("dpkg", "--compare-versions", before, "lt", got).Run(); err != nil {
			t.Errorf("dpkg: %q does not sort before %q: %v", before, got, err)
		}
		if order := output(t, "", "rpm", "--eval", `%{lua:print(rpm.vercmp("`+before+`", "`+got+`"))}`); order != "-1\n" {
			t.Errorf("rpm: %q and %q compare as %q", before, got, order)
		}
		before = got
	}
}

// TestReleaseNeedsTagAndHeading lists what is refused.
func TestReleaseNeedsTagAndHeading(t *testing.T) {
	root := t.TempDir()
	changelog := "# Changelog\n\n## Unreleased\n\n## v0.3.0\n\n## v0.2.1 (2026-13-01)\n\n## v0.2.0 (2026-12-01)\n"
	must(t, os.WriteFile(filepath.Join(root, "CHANGELOG.md"), []byte(changelog), 0o644))
	for version, want := range map[string]string{
		"v0.2.0":                "",
		"v0.3.0-rc.1":           "",
		"0.2.0":                 "is not a tag such as v0.2.0",
		"v0.2":                  "is not a tag such as v0.2.0",
		"v0.02.0":               "is not a tag such as v0.2.0",
		"v0.2.0-dirty":          "commit everything",
		"v0.2.0-3-gabcdef0":     "is not a tag such as v0.2.0",
		"abcdef0":               "SNAPSHOT=1",
		"v0.3.0":                `no heading "## v0.3.0 (YYYY-MM-DD)"`,
		"v0.2.1":                "month out of range",
		"v0.2.0\n## Unreleased": "is not a tag such as v0.2.0",
	} {
		err := releasable(root, version)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %q it says %v, want %q", version, err, want)
		}
	}
}

// TestStampIsOfTheCommit also shows what happens without git.
func TestStampIsOfTheCommit(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	dir := t.TempDir()
	if when, commit, err := stamp(dir); err != nil || commit != "" || when.Format(time.DateOnly) != "2025-01-01" {
		t.Errorf("without git the time is %v, the commit %q, %v", when, commit, err)
	}
	output(t, dir, "git", "init", "-q")
	output(t, dir, "git", "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "one", "--date", "@0")
	want := output(t, dir, "git", "log", "-1", "--format=%cI %H")
	when, commit, err := stamp(dir)
	at, hash, _ := strings.Cut(strings.TrimSpace(want), " ")
	if committed, parseErr := time.Parse(time.RFC3339, at); err != nil || parseErr != nil || !when.Equal(committed) || commit != hash {
		t.Errorf("the stamp is %v %q (%v), want %s", when, commit, err, want)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1764034200")
	if when, _, err := stamp(dir); err != nil || when.Unix() != 1764034200 {
		t.Errorf("with SOURCE_DATE_EPOCH the time is %v, %v", when, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "soon")
	if _, _, err := stamp(dir); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("a time that is none is answered %v", err)
	}
}

// TestReleaseNeedsItsGo checks that another Go than the named one is refused.
func TestReleaseNeedsItsGo(t *testing.T) {
	root := t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "release"), 0o755))
	for named, want := range map[string]string{strings.TrimPrefix(runtime.Version(), "go"): "", "1.2.3": "go1.2.3, which release/go-version names"} {
		must(t, os.WriteFile(filepath.Join(root, "release/go-version"), []byte(named+"\n"), 0o644))
		if err := sameGo(root); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %q it says %v, want %q", named, err, want)
		}
	}
}

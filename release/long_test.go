package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWholeReleaseIsReproducible is the long form: `make release` of a tag, in two
// clones at different places, each with a cache of its own, so nothing of the first
// build is used by the second.
func TestWholeReleaseIsReproducible(t *testing.T) {
	if os.Getenv("HEARTH_LONG") == "" {
		t.Log("HEARTH_LONG=1 runs it; make prove does")
		return
	}
	const tag = "v7.7.7-rc.1" // a pre-release, so the changelog needs no heading
	make := func(place string, env ...string) string {
		dir := filepath.Join(t.TempDir(), place)
		output(t, "..", "git", "clone", "--quiet", ".", dir)
		output(t, dir, "git", "tag", tag)
		cmd := exec.Command("make", "--no-print-directory", "release", "VERSION="+tag)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make release: %v\n%s", err, out)
		}
		return filepath.Join(dir, "dist", tag)
	}
	names, want := files(t, make("one"))
	t.Logf("%d files, and %s", len(names), want["SHA256SUMS"])
	cache := t.TempDir()
	again, got := files(t, make("another place", "GOCACHE="+cache, "TZ=Asia/Shanghai", "LC_ALL=C.UTF-8", "GOFLAGS=-buildvcs=true"))
	if !slices.Equal(names, again) {
		t.Fatalf("the second release is %q, want %q", again, names)
	}
	for _, name := range names {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s differs: %d bytes and %d bytes", name, len(want[name]), len(got[name]))
		}
	}
	all := strings.Join(names, "\n")
	for _, suffix := range []string{
		"linux_amd64.tar.gz", "linux_arm64.tar.gz", "darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "_amd64.deb", "_arm64.deb",
		".x86_64.rpm", ".aarch64.rpm", "_image_amd64.tar", "_image_arm64.tar", "darwin_arm64.cdx.json",
	} {
		if !strings.Contains(all+"\n", suffix+"\n") {
			t.Errorf("the release lacks %s:\n%s", suffix, all)
		}
	}
}

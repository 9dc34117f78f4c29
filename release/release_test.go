package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// output runs a program and returns what it prints; that it fails ends the test.
func output(tb testing.TB, dir, program string, args ...string) string {
	tb.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v; scripts/install-test-servers installs what is missing\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// version is built by the tests, of whatever the tree is.
const version = "v1.0.0"

// shared is where the release for one platform is built, once for all tests.
var shared string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "hearth-release-test-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		shared = dir
		return m.Run()
	}())
}

var build = sync.OnceValue(func() error {
	return run([]string{"-out", shared, "-version", version, "-snapshot", "-fast", "-platforms", "linux/amd64"}, io.Discard)
})

// built returns the directory of the release for linux/amd64.
func built(tb testing.TB) string {
	tb.Helper()
	must(tb, build())
	return shared
}

// files returns the names of a directory's files, and their texts.
func files(tb testing.TB, dir string) (names []string, texts map[string][]byte) {
	tb.Helper()
	texts = map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(tb, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(tb, err)
		names, texts[e.Name()] = append(names, e.Name()), text
	}
	return names, texts
}

// TestReleaseIsComplete checks what is made, that the sums are of it, and that a tool
// other than ours agrees.
func TestReleaseIsComplete(t *testing.T) {
	names, texts := files(t, built(t))
	want := []string{
		"SHA256SUMS", "hearth-1.0.0-1.x86_64.rpm", "hearth_1.0.0_amd64.deb", "hearth_1.0.0_image_amd64.tar",
		"hearth_1.0.0_linux_amd64.cdx.json", "hearth_1.0.0_linux_amd64.tar.gz",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("the release is %q, want %q", names, want)
	}
	if got, want := strings.Count(string(texts["SHA256SUMS"]), "\n"), len(names)-1; got != want {
		t.Errorf("SHA256SUMS has %d lines, want %d:\n%s", got, want, texts["SHA256SUMS"])
	}
	output(t, shared, "sha256sum", "--check", "--strict", "SHA256SUMS")
}

// TestReleaseIsReproducible builds the same again, where everything that must not
// matter differs: directories, time zone, language, what Go's environment says.
// The tree is not the same either, but a copy of it.
func TestReleaseIsReproducible(t *testing.T) {
	names, want := files(t, built(t))
	at, commit, _ := strings.Cut(strings.TrimSpace(output(t, "..", "git", "log", "-1", "--format=%ct %H")), " ")
	root := t.TempDir()
	output(t, "..", "sh", "-euc", `git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --create | tar --directory "$0" --extract`, root)
	out := t.TempDir()
	again := exec.Command(os.Args[0], "-test.run", "^TestBuildOfACopy$")
	again.Env = append(os.Environ(), "HEARTH_RELEASE_OF="+root, "HEARTH_RELEASE_TO="+out, "SOURCE_DATE_EPOCH="+at, "HEARTH_RELEASE_COMMIT="+commit,
		"TZ=Asia/Shanghai", "LC_ALL=C.UTF-8", "TMPDIR="+t.TempDir(), "GOFLAGS=-buildvcs=true", "GOAMD64=v3", "CGO_ENABLED=1")
	if said, err := again.CombinedOutput(); err != nil {
		t.Fatalf("building the copy: %v\n%s", err, said)
	}
	namesOfAgain, got := files(t, out)
	if !slices.Equal(names, namesOfAgain) {
		t.Fatalf("the second release is %q, want %q", namesOfAgain, names)
	}
	for _, name := range names {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s differs: %d bytes and %d bytes", name, len(want[name]), len(got[name]))
		}
	}
}

// TestBuildOfACopy is the second build of the test above, in a process of its own.
func TestBuildOfACopy(t *testing.T) {
	root := os.Getenv("HEARTH_RELEASE_OF")
	if root == "" {
		return
	}
	must(t, run([]string{
		"-root", root, "-commit", os.Getenv("HEARTH_RELEASE_COMMIT"), "-out", os.Getenv("HEARTH_RELEASE_TO"), "-version", version, "-snapshot", "-fast", "-platforms", "linux/amd64",
	}, io.Discard))
}

// TestBillNamesWhatIsLinked compares the bill of materials with what Go says of the
// program.
func TestBillNamesWhatIsLinked(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(built(t), "hearth_1.0.0_linux_amd64.cdx.json"))
	must(t, err)
	var bill struct {
		SerialNumber string
		Metadata     struct {
			Timestamp string
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	must(t, json.Unmarshal(text, &bill))
	if c := bill.Metadata.Component; c.Name != "hearth" || c.Version != version || bill.SerialNumber == "" || bill.Metadata.Timestamp == "" {
		t.Errorf("the bill is of %+v, number %q", bill.Metadata, bill.SerialNumber)
	}
	var got, want []string
	for _, c := range bill.Components {
		got = append(got, c.Name+" "+c.Version)
	}
	program := filepath.Join(unpacked(t), "hearth")
	for line := range strings.Lines(output(t, "", "go", "version", "-m", program)) {
		switch f := strings.Fields(line); {
		case f[0] == "dep":
			want = append(want, f[1]+" "+f[2])
		case strings.HasPrefix(f[len(f)-1], "go1."):
			want = append(want, "std "+f[len(f)-1])
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) < 10 || !slices.Equal(got, want) {
		t.Errorf("the bill names\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// unpacked returns the directory of the unpacked archive.
func unpacked(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	output(tb, dir, "tar", "--extract", "--file", filepath.Join(built(tb), "hearth_1.0.0_linux_amd64.tar.gz"))
	return filepath.Join(dir, "hearth_1.0.0_linux_amd64")
}

// TestArchiveRuns unpacks the archive and runs what is in it, with the configuration
// that is beside it.
func TestArchiveRuns(t *testing.T) {
	dir := unpacked(t)
	if got, want := output(t, dir, "./hearth", "version"), "hearth "+version+"\n"; got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	output(t, dir, "./hearth", "check")
	program, err := elf.Open(filepath.Join(dir, "hearth"))
	must(t, err)
	defer program.Close()
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %q (%v), want nothing", libraries, err)
	}
	list := output(t, shared, "tar", "--list", "--verbose", "--numeric-owner", "--file", "hearth_1.0.0_linux_amd64.tar.gz")
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); f[1] != "0/0" || !strings.HasPrefix(line, "-rw-r--r--") && !strings.HasPrefix(line, "drwxr-xr-x") &&
			!strings.HasSuffix(line, "/hearth\n") && !strings.HasSuffix(line, "/run\n") {
			t.Errorf("the archive holds %q", line)
		}
	}
	for _, name := range []string{"LICENSE", "LIBRARIES", "CHANGELOG.md", "README.md", "docs/operations.md", "deploy/hearth.service", "deploy/sysusers.conf"} {
		if !strings.Contains(list, "/"+name+"\n") {
			t.Errorf("the archive lacks %s:\n%s", name, list)
		}
	}
}

// TestSumsAreSigned signs with a key that the test makes, by a command as an operator
// says it, and checks the signature with the public one.
func TestSumsAreSigned(t *testing.T) {
	dir, keys := t.TempDir(), t.TempDir()
	output(t, keys, "minisign", "-G", "-W", "-p", "public", "-s", "secret")
	must(t, os.WriteFile(filepath.Join(dir, "some file"), []byte("x"), 0o644))
	r := &release{options: options{out: dir, sign: "minisign -S -s '" + keys + "/secret' -t 'hearth " + version + "' -m"}, made: []string{"some file"}, printed: io.Discard}
	must(t, r.seal())
	if out := output(t, dir, "minisign", "-V", "-p", filepath.Join(keys, "public"), "-m", "SHA256SUMS"); !strings.Contains(out, "hearth "+version) {
		t.Errorf("minisign says %s", out)
	}
	r = &release{options: options{out: dir, sign: "false --key"}, printed: io.Discard}
	if err := r.seal(); err == nil || !strings.Contains(err.Error(), "false --key") {
		t.Errorf("a command that fails is answered %v", err)
	}
}

package deploy_test

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// built is where packages are built to, once for all tests: linking takes long.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "hearth-deploy-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(built) }()
		if err := os.Chmod(built, 0o755); err != nil { // for servers that run as another user
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		launch.AtATime(4)
		return m.Run()
	}())
}

// must ends the test on an error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// makePackages is `make deb` or `make rpm` of a version for some architectures,
// compressed quickly, into a directory.
func makePackages(target, version, architectures string) error {
	out, err := exec.Command("make", "--no-print-directory", "-C", "..", target,
		"VERSION="+version, "DIST="+built, "ARCH="+architectures, "FAST=1").CombinedOutput()
	if err != nil {
		return fmt.Errorf("make %s VERSION=%s: %w\n%s", target, version, err, out)
	}
	return nil
}

// Two versions, the older one for both architectures.
var (
	buildOlder = sync.OnceValue(func() error { return makePackages("deb", "v1.0.0", "amd64 arm64") })
	buildNewer = sync.OnceValue(func() error { return makePackages("deb", "v1.0.0-7-gabc1234", "amd64") })
)

// older returns the path of the package of version 1.0.0.
func older(tb testing.TB, architecture string) string {
	tb.Helper()
	testkit.Need(tb, "dpkg", []string{"dpkg-deb"})
	testkit.Need(tb, "make", []string{"make"})
	must(tb, buildOlder())
	return filepath.Join(built, "hearth_1.0.0_"+architecture+".deb")
}

// newer returns the path of the package of seven commits later, for amd64.
func newer(tb testing.TB) string {
	tb.Helper()
	must(tb, buildNewer())
	return filepath.Join(built, "hearth_1.0.0+7.gabc1234_amd64.deb")
}

// unpack unpacks a package and returns the directory.
func unpack(tb testing.TB, deb string) string {
	tb.Helper()
	dir := tb.TempDir()
	output(tb, "dpkg-deb", "-R", deb, dir)
	return dir
}

// output runs a program and returns what it prints; that it fails ends the test.
func output(tb testing.TB, program string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var unpackOlder = sync.OnceValue(func() error {
	return exec.Command("dpkg-deb", "-x", filepath.Join(built, "hearth_1.0.0_amd64.deb"), filepath.Join(built, "root")).Run()
})

// buildProgram builds the program alone, as it is packaged.
var buildProgram = sync.OnceValue(func() string {
	program := filepath.Join(built, "program", "hearth")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, ".")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building the program: %v\n%s", err, out))
	}
	return program
})

// hearth returns the path of the program: the packaged one, where packages are built.
func hearth(tb testing.TB) string {
	tb.Helper()
	if !testkit.Long() {
		return buildProgram()
	}
	older(tb, "amd64")
	if err := unpackOlder(); err != nil {
		tb.Fatalf("unpacking the package: %v", err)
	}
	return filepath.Join(built, "root/usr/bin/hearth")
}

// contents are the files of the package, with their modes. A file more or less is a
// decision, so the list is here.
const contents = `
drwxr-xr-x root/root ./etc/
drwxr-xr-x root/root ./etc/hearth/
-rw-r----- root/root ./etc/hearth/config.toml
drwxr-xr-x root/root ./usr/
drwxr-xr-x root/root ./usr/bin/
-rwxr-xr-x root/root ./usr/bin/hearth
drwxr-xr-x root/root ./usr/lib/
drwxr-xr-x root/root ./usr/lib/systemd/
drwxr-xr-x root/root ./usr/lib/systemd/system/
-rw-r--r-- root/root ./usr/lib/systemd/system/hearth-admin.socket
-rw-r--r-- root/root ./usr/lib/systemd/system/hearth.service
-rw-r--r-- root/root ./usr/lib/systemd/system/hearth.socket
drwxr-xr-x root/root ./usr/lib/sysusers.d/
-rw-r--r-- root/root ./usr/lib/sysusers.d/hearth.conf
drwxr-xr-x root/root ./usr/lib/tmpfiles.d/
-rw-r--r-- root/root ./usr/lib/tmpfiles.d/hearth.conf
drwxr-xr-x root/root ./usr/share/
drwxr-xr-x root/root ./usr/share/bash-completion/
drwxr-xr-x root/root ./usr/share/bash-completion/completions/
-rw-r--r-- root/root ./usr/share/bash-completion/completions/hearth
drwxr-xr-x root/root ./usr/share/doc/
drwxr-xr-x root/root ./usr/share/doc/hearth/
-rw-r--r-- root/root ./usr/share/doc/hearth/NEWS.md
-rw-r--r-- root/root ./usr/share/doc/hearth/README.md
drwxr-xr-x root/root ./usr/share/doc/hearth/bench/
drwxr-xr-x root/root ./usr/share/doc/hearth/bench/recipe/
-rw-r--r-- root/root ./usr/share/doc/hearth/bench/recipe/app.py
-rw-r--r-- root/root ./usr/share/doc/hearth/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/hearth/copyright
drwxr-xr-x root/root ./usr/share/doc/hearth/examples/fastapi/
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/fastapi/README.md
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/fastapi/config.toml
-rwxr-xr-x root/root ./usr/share/doc/hearth/examples/fastapi/run
drwxr-xr-x root/root ./usr/share/doc/hearth/examples/fleet/
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/fleet/README.md
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/fleet/config.toml
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/fleet/haproxy.cfg
-rwxr-xr-x root/root ./usr/share/doc/hearth/examples/fleet/run
drwxr-xr-x root/root ./usr/share/doc/hearth/examples/own-table/
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/own-table/README.md
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/own-table/config.toml
-rwxr-xr-x root/root ./usr/share/doc/hearth/examples/own-table/run
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/own-table/schema.sql
drwxr-xr-x root/root ./usr/share/doc/hearth/examples/recipe/
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/recipe/README.md
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/recipe/config.toml
-rwxr-xr-x root/root ./usr/share/doc/hearth/examples/recipe/run
drwxr-xr-x root/root ./usr/share/doc/hearth/examples/small/
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/small/README.md
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/small/config.toml
-rw-r--r-- root/root ./usr/share/doc/hearth/examples/small/hearth-small.conf
-rwxr-xr-x root/root ./usr/share/doc/hearth/examples/small/run
-rw-r--r-- root/root ./usr/share/doc/hearth/libraries.gz
drwxr-xr-x root/root ./usr/share/fish/
drwxr-xr-x root/root ./usr/share/fish/vendor_completions.d/
-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/hearth.fish
drwxr-xr-x root/root ./usr/share/lintian/
drwxr-xr-x root/root ./usr/share/lintian/overrides/
-rw-r--r-- root/root ./usr/share/lintian/overrides/hearth
drwxr-xr-x root/root ./usr/share/man/
drwxr-xr-x root/root ./usr/share/man/man1/
-rw-r--r-- root/root ./usr/share/man/man1/hearth.1.gz
drwxr-xr-x root/root ./usr/share/man/man5/
-rw-r--r-- root/root ./usr/share/man/man5/hearth.toml.5.gz
drwxr-xr-x root/root ./usr/share/zsh/
drwxr-xr-x root/root ./usr/share/zsh/vendor-completions/
-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_hearth
`

// examples have to be among the documentation, beside those of contents; there may be more.
var examples = []string{"README.md", "stage", "config.schema.json", "config.toml", "haproxy.cfg", "nginx.conf", "notify-reload.conf"}

func TestPackageContents(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	const fields = 6 // mode, owner, size, date, time, name
	var lists [2][]string
	for i, architecture := range []string{"amd64", "arm64"} {
		for line := range strings.Lines(output(t, "dpkg-deb", "-c", older(t, architecture))) {
			f := strings.Fields(line)
			if len(f) != fields {
				t.Fatalf("dpkg-deb -c says %q", line)
			}
			lists[i] = append(lists[i], f[0]+" "+f[1]+" "+f[fields-1])
		}
	}
	if a, b := strings.Join(lists[0], "\n"), strings.Join(lists[1], "\n"); a != b {
		t.Errorf("the packages hold different files:\n%s\n\n%s", a, b)
	}
	documents := regexp.MustCompile(`^(drwxr-xr-x|-rw-r--r--) root/root \./usr/share/doc/hearth/(docs|examples)/[A-Za-z.-]*$`)
	var rest, found []string
	for _, line := range lists[0] {
		if documents.MatchString(line) {
			found = append(found, filepath.Base(line))
		} else {
			rest = append(rest, line)
		}
	}
	if got := "\n" + strings.Join(rest, "\n") + "\n"; got != contents {
		t.Errorf("the package holds\n%s\nwant\n%s", got, contents)
	}
	for _, want := range append(examples, "operations.md") {
		if !strings.Contains(" "+strings.Join(found, " ")+" ", " "+want+" ") {
			t.Errorf("the documentation lacks %s; it has %q", want, found)
		}
	}
}

// TestPackageControl checks what dpkg is told, and that the program of either
// architecture is static and for it.
func TestPackageControl(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	for architecture, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		deb := older(t, architecture)
		control := output(t, "dpkg-deb", "-f", deb, "Package", "Version", "Architecture")
		if want := "Package: hearth\nVersion: 1.0.0\nArchitecture: " + architecture + "\n"; control != want {
			t.Errorf("the control file of %s says\n%s\nwant\n%s", deb, control, want)
		}
		if got := output(t, "dpkg-deb", "-I", deb, "conffiles"); got != "/etc/hearth/config.toml\n" {
			t.Errorf("conffiles of %s are %q", deb, got)
		}
		if strings.Contains(output(t, "dpkg-deb", "-I", deb, "control"), "@") && !strings.Contains(output(t, "dpkg-deb", "-f", deb, "Maintainer"), "@") {
			t.Errorf("the control file of %s has a place that was not filled", deb)
		}
		dir := unpack(t, deb)
		program, err := elf.Open(filepath.Join(dir, "usr/bin/hearth"))
		must(t, err)
		defer program.Close()
		if program.Machine != want {
			t.Errorf("the program in %s is for %v, want %v", deb, program.Machine, want)
		}
		if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("the program in %s needs %q (%v), want nothing", deb, libraries, err)
		}
		for _, p := range program.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("the program in %s needs an interpreter, so it is not static", deb)
			}
		}
	}
}

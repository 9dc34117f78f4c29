package deploy_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"hearth/internal/testkit"
)

var (
	buildOlderRPM = sync.OnceValue(func() error { return makePackages("rpm", "v1.0.0", "amd64") })
	buildNewerRPM = sync.OnceValue(func() error { return makePackages("rpm", "v1.0.0-7-gabc1234", "amd64") })
)

// rpmOf returns the path of a version's RPM package.
func rpmOf(tb testing.TB, build func() error, version string) string {
	tb.Helper()
	testkit.Need(tb, "make", []string{"make"})
	testkit.Need(tb, "rpm", []string{"rpm"})
	must(tb, build())
	return filepath.Join(built, "hearth-"+version+"-1.x86_64.rpm")
}

func olderRPM(tb testing.TB) string { tb.Helper(); return rpmOf(tb, buildOlderRPM, "1.0.0") }
func newerRPM(tb testing.TB) string {
	tb.Helper()
	return rpmOf(tb, buildNewerRPM, "1.0.0+7.gabc1234")
}

// TestRPMHoldsWhatTheDebianPackageHolds compares the two packages: files and modes, but
// for those that only one kind of distribution has a place for, and what is said of
// them.
func TestRPMHoldsWhatTheDebianPackageHolds(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	path := olderRPM(t)
	only := regexp.MustCompile(`/(doc/hearth/(changelog\.gz|copyright)|lintian/overrides/hearth|licenses/hearth/LICENSE)$`)
	var want, got []string
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", older(t, "amd64"))) {
		if f := strings.Fields(line); f[0][0] == '-' && !only.MatchString(f[5]) {
			// zsh looks elsewhere for what packages bring.
			want = append(want, f[0]+" root/root "+strings.Replace(strings.TrimPrefix(f[5], "."), "zsh/vendor-completions", "zsh/site-functions", 1))
		}
	}
	for line := range strings.Lines(output(t, "rpm", "--query", "--package", "--queryformat", `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`, path)) {
		if line = strings.TrimSuffix(line, "\n"); line[0] == '-' && !only.MatchString(line) {
			got = append(got, line)
		}
	}
	if got, want := strings.Join(got, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("the RPM package holds\n%s\nthe Debian package\n%s", got, want)
	}
	about := output(t, "rpm", "--query", "--package", "--queryformat", `%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{LICENSE} %{SUMMARY}`, path)
	if want := "hearth 1.0.0-1 x86_64 MIT Coherent read cache for JSON over HTTP"; about != want {
		t.Errorf("it says %q, want %q", about, want)
	}
	if conf := output(t, "rpm", "--query", "--package", "--configfiles", path); conf != "/etc/hearth/config.toml\n" {
		t.Errorf("its configuration files are %q", conf)
	}
}

// TestRPMUnderSystemd installs, upgrades and removes the RPM package. This machine's
// systemd and rpm are real; what the package needs is looked up in no database.
func TestRPMUnderSystemd(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := bootSystemd(t)
	older, newer := m.put(olderRPM(t)), m.put(newerRPM(t))
	m.must("rpm", "--install", "--nodeps", older)
	if got, want := m.must("stat", "--format", "%A %U:%G", config), "-rw-r----- root:hearth"; got != want {
		t.Errorf("the configuration is %q, want %q", got, want)
	}
	if out, err := m.run("systemctl", "is-active", "hearth"); err == nil {
		t.Errorf("the installation started the service, which is the operator's to do: %s", out)
	}
	user := m.must("id", "hearth")
	m.must("systemctl", "start", "hearth")
	m.awaitHealthy()

	m.sh("echo '# mine' >>" + config)
	before, pid := m.sh("sha256sum "+config), m.property("MainPID")
	m.must("rpm", "--upgrade", "--nodeps", newer)
	m.awaitHealthy()
	if got := m.property("MainPID"); got == pid {
		t.Error("the upgrade left the old process")
	}
	if got := m.sh("sha256sum " + config); got != before {
		t.Errorf("the upgrade changed the configuration: %s, it was %s", got, before)
	}
	if got, want := m.must("hearth", "version"), "hearth v1.0.0-7-gabc1234"; got != want {
		t.Errorf("after the upgrade the program says %q, want %q", got, want)
	}

	// What the other version does not accept is told, and the old process goes on.
	m.sh("echo 'surprise = 1' >>" + config)
	pid = m.property("MainPID")
	if out, err := m.run("rpm", "--upgrade", "--oldpackage", "--nodeps", older); err != nil || !strings.Contains(out, "The old process goes on") || !strings.Contains(out, "surprise") {
		t.Errorf("of a faulty configuration it says %v\n%s", err, out)
	}
	if got := m.property("MainPID"); got != pid || m.property("NRestarts") != "0" {
		t.Errorf("the process is %s after %s restarts, it was %s", got, m.property("NRestarts"), pid)
	}

	m.must("rpm", "--erase", "hearth")
	m.checkPaths(false, program...)
	m.checkPaths(true, config+".rpmsave", state)
	if out, err := m.run("systemctl", "is-active", "hearth"); err == nil {
		t.Errorf("the removal left the service: %s", out)
	}
	if got := m.must("id", "hearth"); got != user {
		t.Errorf("the removal changed the user from %q to %q", user, got)
	}
	if left := m.sh("find /etc/systemd -name '*hearth*' -not -path '*/hearth.service.d*'"); left != "" {
		t.Errorf("the removal left\n%s", left)
	}
}

package deploy_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// checkPaths fails the test for each path of the machine that is not as it should
// be: there, or not.
func (m *machine) checkPaths(there bool, paths ...string) {
	m.tb.Helper()
	for _, path := range paths {
		_, err := m.run("test", "-e", path)
		if got := err == nil; got != there {
			m.tb.Errorf("%s: there is %v, want %v", path, got, there)
		}
	}
}

// serve runs the installed program with the installed configuration, as the user
// that the package made, until the returned function is called.
func (m *machine) serve() (stop func()) {
	m.tb.Helper()
	cmd := m.command("setpriv", "--reuid", "hearth", "--regid", "hearth", "--init-groups",
		"/usr/bin/hearth", "-config", "/etc/hearth/config.toml")
	out, err := os.Create(filepath.Join(m.tb.TempDir(), "hearth.log"))
	must(m.tb, err)
	cmd.Stdout, cmd.Stderr = out, out
	must(m.tb, cmd.Start())
	end := func() {
		_, _ = m.run("pkill", "--signal", "INT", "--exact", "hearth") // of this machine's processes
		if err := cmd.Wait(); err != nil {
			text, _ := os.ReadFile(out.Name())
			m.tb.Errorf("the installed program ended with %v:\n%s", err, text)
		}
		out.Close()
	}
	m.awaitHealthy()
	return end
}

// What the packages install, and what the server writes.
const (
	config = "/etc/hearth/config.toml"
	state  = "/var/lib/hearth/hearth.db"
)

var program = []string{
	"/usr/bin/hearth", "/usr/lib/systemd/system/hearth.service", "/usr/lib/systemd/system/hearth.socket",
	"/usr/lib/systemd/system/hearth-admin.socket", "/usr/lib/sysusers.d/hearth.conf", "/usr/lib/tmpfiles.d/hearth.conf",
	"/usr/share/doc/hearth",
}

// TestPackageWithoutServiceManager takes the package through its whole life where
// no systemd runs, as in an image that is being built: what an operator has
// changed or stored outlives all but a purge.
func TestPackageWithoutServiceManager(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := newMachine(t, "sleep", "infinity")

	m.must("dpkg", "--install", m.put(older(t, "amd64")))
	m.checkPaths(true, program...)
	if got, want := m.must("hearth", "version"), "hearth v1.0.0"; got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
	const modes = "stat --format %A_%U_%G_%n /etc/hearth /etc/hearth/config.toml /etc/hearth/secret /run/hearth /var/lib/hearth"
	want := strings.Join([]string{
		"drwxr-xr-x_root_root_/etc/hearth",
		"-rw-r-----_root_hearth_/etc/hearth/config.toml",
		"drwx------_root_root_/etc/hearth/secret",
		"drwxr-xr-x_hearth_hearth_/run/hearth",
		"drwx------_hearth_hearth_/var/lib/hearth",
	}, "\n")
	if got := m.sh(modes); got != want {
		t.Errorf("owners and modes are\n%s\nwant\n%s", got, want)
	}
	user := m.must("id", "hearth")
	if got := m.must("setpriv", "--reuid", "hearth", "--regid", "hearth", "--init-groups", "hearth", "-config", config, "check"); got != config+": no faults" {
		t.Errorf("checking the installed configuration says %q", got)
	}
	stop := m.serve()
	if code, body := m.get(public + "/user/1"); code != http.StatusNotFound {
		t.Errorf("a record is answered %d %s: the installed configuration must have no demo", code, body)
	}
	if code, body := m.get(admin + "/readyz"); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	stop()
	m.checkPaths(true, state)

	// The operator changes the configuration, and its mode.
	m.sh("echo '# mine' >>" + config + "; chmod 600 " + config + "; chown hearth " + config)
	before := m.sh("sha256sum " + config + " " + state)
	m.must("dpkg", "--install", m.put(newer(t)))
	if got, want := m.must("hearth", "version"), "hearth v1.0.0-7-gabc1234"; got != want {
		t.Errorf("after the upgrade the program says %q, want %q", got, want)
	}
	if got := m.sh("sha256sum " + config + " " + state); got != before {
		t.Errorf("the upgrade changed configuration or state:\n%s\n%s", before, got)
	}
	if got, want := m.must("stat", "--format", "%A %U", config), "-rw------- hearth"; got != want {
		t.Errorf("after the upgrade the configuration is %q, want %q", got, want)
	}
	if got := m.must("id", "hearth"); got != user {
		t.Errorf("the upgrade changed the user from %q to %q", user, got)
	}
	m.serve()()

	m.must("dpkg", "--remove", "hearth")
	m.checkPaths(false, program...)
	m.checkPaths(true, config, state)
	if got := m.must("id", "hearth"); got != user {
		t.Errorf("the removal changed the user from %q to %q", user, got)
	}
	m.must("dpkg", "--purge", "hearth")
	m.checkPaths(false, append(program, "/etc/hearth", "/var/lib/hearth", "/run/hearth")...)
	if left := m.sh("find /etc/systemd /var/lib/systemd -name '*hearth*'"); left != "" {
		t.Errorf("the purge left\n%s", left)
	}
	if out, err := m.run("dpkg", "--status", "hearth"); err == nil {
		t.Errorf("dpkg still knows the package:\n%s", out)
	}
}

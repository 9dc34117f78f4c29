package deploy_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// hostile is an environment that only the service's user should ever run in: each
// variable makes some program run something else. The last is no variable of the
// server's; it warns of such.
const hostile = `[Service]
Environment=PATH=/var/lib/hearth/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=LD_PRELOAD=/var/lib/hearth/preload.so LD_LIBRARY_PATH=/var/lib/hearth
Environment=BASH_ENV=/var/lib/hearth/bin/sh ENV=/var/lib/hearth/bin/sh
Environment=PERL5OPT=-Mhostile PERL5LIB=/var/lib/hearth
Environment="HEARTH_UPGRADE=$$(touch /ran-by-root)"
`

// preload is what LD_PRELOAD brings into a process before the process does anything.
const preload = `
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void run(void) { if (getuid() == 0) creat("/ran-by-root", 0600); }
`

// plant makes what a server in bad hands could leave behind for the next upgrade:
// programs with the names of those that the package's scripts run, and links out of
// the directories that it may write.
func (m *machine) plant() {
	m.tb.Helper()
	source := filepath.Join(m.shared, "preload.c")
	m.write("/mnt/preload.c", preload)
	if out, err := exec.Command(testkit.Need(m.tb, "gcc", []string{"gcc"}), "-shared", "-fPIC", "-o", filepath.Join(m.shared, "preload.so"), source).CombinedOutput(); err != nil {
		m.tb.Fatalf("compiling: %v\n%s", err, out)
	}
	m.write("/var/lib/hearth/bin/program", "#!/bin/dash\n[ \"$(/usr/bin/id -u)\" -ne 0 ] || echo \"$0\" >>/ran-by-root\nexit 0\n")
	m.write("/var/lib/hearth/hostile.pm", "package hostile; if ($< == 0) { open my $f, '>>', '/ran-by-root'; print $f 'perl' } 1;\n")
	m.sh(`cp /mnt/preload.so /var/lib/hearth
cd /var/lib/hearth/bin
chmod 755 program
for name in setpriv setsid timeout env perl sh id cat head tr rm mktemp stat chgrp readlink systemctl \
	deb-systemd-helper deb-systemd-invoke systemd-sysusers systemd-tmpfiles hearth; do ln -s program $name; done
echo precious >/precious; chmod 600 /precious
ln -s /precious /var/lib/hearth/copy.db
ln -s /precious /run/hearth/http.sock
ln -s / /run/hearth/root; ln -s / /var/lib/hearth/root
chown --recursive --no-dereference hearth:hearth /var/lib/hearth /run/hearth`)
}

// TestUpgradeTrustsNothingOfTheService upgrades and purges the package while its
// service has an environment, and has left files, that would make a careless script
// run foreign programs as root. (That the check still sees what the environment says
// of the configuration is shown by the credentials of TestPackageUnderSystemd.)
func TestUpgradeTrustsNothingOfTheService(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := newSystemdMachine(t)
	m.plant()
	intact := func(after string) {
		t.Helper()
		if out, err := m.run("cat", "/ran-by-root"); err == nil {
			t.Errorf("%s ran what the service's user had planted, as root: %s", after, out)
		}
		if got, want := m.must("stat", "--format", "%U %a %s", "/precious"), "root 600 9"; got != want {
			t.Errorf("after %s a file that links lead to is %q, want %q", after, got, want)
		}
		if got := m.sh("ls /tmp"); strings.Contains(got, "tmp.") {
			t.Errorf("%s left a temporary file: %s", after, got)
		}
	}
	m.write("/etc/systemd/system/hearth.service.d/hostile.conf", hostile)
	m.sh("systemctl daemon-reload; systemctl restart hearth")
	m.awaitHealthy()
	pid := m.property("MainPID")
	m.must("dpkg", "--install", m.put(newer(t)))
	m.awaitHealthy()
	if got := m.property("MainPID"); got == pid {
		t.Error("the upgrade left the old process")
	}
	intact("an upgrade")

	m.must("dpkg", "--purge", "hearth")
	intact("a purge")
	m.checkPaths(false, "/etc/hearth", "/var/lib/hearth", "/run/hearth")
}

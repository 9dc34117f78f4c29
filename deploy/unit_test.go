package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// units are what the package installs for systemd.
var units = []string{"hearth.service", "hearth.socket", "hearth-admin.socket"}

// setting returns the values of a key of a unit, in order, as systemd reads them.
func setting(tb testing.TB, unit, key string) []string {
	tb.Helper()
	text, err := os.ReadFile(unit)
	must(tb, err)
	var values []string
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), "="); found && name == key {
			values = append(values, value)
		}
	}
	return values
}

// TestUnitsVerify lets systemd read the units, in a root that holds just them and what
// they need, and wants to hear nothing.
func TestUnitsVerify(t *testing.T) {
	t.Parallel()
	analyze := testkit.Need(t, "systemd", []string{"systemd-analyze"})
	root := t.TempDir()
	copyTo := func(place string, mode os.FileMode, sources ...string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Join(root, place), 0o755))
		for _, source := range sources {
			text, err := os.ReadFile(source)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(root, place, filepath.Base(source)), text, mode))
		}
	}
	copyTo("usr/lib/systemd/system", 0o644, units...)
	for _, target := range []string{"sysinit", "network-online", "network", "basic", "multi-user", "sockets", "shutdown"} {
		copyTo("usr/lib/systemd/system", 0o644, "/lib/systemd/system/"+target+".target")
	}
	copyTo("etc/systemd/system/hearth.service.d", 0o644, "../examples/small/hearth-small.conf")
	copyTo("bin", 0o755, "/bin/kill")
	copyTo("usr/bin", 0o755, "/bin/true")
	must(t, os.Rename(filepath.Join(root, "usr/bin/true"), filepath.Join(root, "usr/bin/hearth")))
	cmd := exec.Command(analyze, append([]string{"verify", "--man=no", "--root=" + root}, units...)...)
	cmd.Dir = root // in ours it would find the drop-in, which needs a later systemd
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestUnitsAreHardened bounds the exposure of the service. The sockets run nothing
// whose exposure could be assessed, and must not.
func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	analyze := testkit.Need(t, "systemd", []string{"systemd-analyze"})
	const tenths = "15"
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold="+tenths, "hearth.service").CombinedOutput()
	if err != nil {
		t.Errorf("the exposure is above %s tenths: %v\n%s", tenths, err, out)
	}
	for _, unit := range units[1:] {
		text, err := os.ReadFile(unit)
		must(t, err)
		if strings.Contains(string(text), "\nExec") {
			t.Errorf("%s runs a command, unconfined", unit)
		}
	}
}

// TestUnitsAgree checks what the files of this directory say about each other and
// about the installed configuration.
func TestUnitsAgree(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("config.toml")
	must(t, err)
	for unit, want := range map[string]struct{ name, key string }{
		"hearth.socket": {"public", "listen"}, "hearth-admin.socket": {"admin", "admin"},
	} {
		if got := setting(t, unit, "FileDescriptorName"); !slices.Equal(got, []string{want.name}) {
			t.Errorf("%s: FileDescriptorName=%q, want %q", unit, got, want.name)
		}
		stream := setting(t, unit, "ListenStream")
		if len(stream) != 1 || !strings.Contains(string(config), "\n"+want.key+` = "`+stream[0]+`"`+"\n") {
			t.Errorf("%s listens on %q; config.toml has another server.%s", unit, stream, want.key)
		}
	}
	// The service is found by its name, or has to be named.
	if got := setting(t, "hearth-admin.socket", "Service"); !slices.Equal(got, []string{"hearth.service"}) {
		t.Errorf("hearth-admin.socket: Service=%q", got)
	}
	for key, want := range map[string]string{
		"Type": "notify", "ExecReload": "/bin/kill -HUP $MAINPID", "Restart": "on-failure", "User": "hearth", "StateDirectory": "hearth",
		"UMask": "0077", "StateDirectoryMode": "0700", "LimitCORE": "0",
	} {
		if got := setting(t, "hearth.service", key); !slices.Equal(got, []string{want}) {
			t.Errorf("hearth.service: %s=%q, want %q", key, got, want)
		}
	}
	for _, key := range []string{"Environment", "EnvironmentFile", "PassEnvironment", "ExecStartPost", "ExecStopPost"} {
		if got := setting(t, "hearth.service", key); got != nil {
			t.Errorf("hearth.service: %s=%q: secrets do not come by the environment, and nothing else is run", key, got)
		}
	}
	for _, key := range []string{"ExecStartPre", "ExecStart", "ExecReload"} {
		for _, command := range setting(t, "hearth.service", key) {
			if !strings.HasPrefix(command, "/") && command != "" {
				t.Errorf("hearth.service: %s=%q runs with more rights than the service", key, command)
			}
		}
	}
	if got := setting(t, "hearth.service", "Sockets"); got != nil {
		t.Errorf("hearth.service: Sockets=%q would start sockets that nobody enabled", got)
	}
}

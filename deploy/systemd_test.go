package deploy_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
)

// newSystemdMachine starts one that systemd runs, with the package installed.
func newSystemdMachine(tb testing.TB) *machine {
	tb.Helper()
	m := bootSystemd(tb)
	m.must("dpkg", "--install", m.put(older(tb, "amd64")))
	m.awaitHealthy()
	return m
}

// bootSystemd starts a machine that systemd runs.
func bootSystemd(tb testing.TB) *machine {
	tb.Helper()
	m := newMachine(tb, testkit.Need(tb, "systemd", []string{"/lib/systemd/systemd"}), "--system", "--unit=basic.target")
	testkit.Eventually(tb, patience, "systemd has started", func() bool {
		out, _ := m.run("systemctl", "is-active", "basic.target")
		return out == "active"
	})
	tb.Cleanup(func() {
		if tb.Failed() {
			journal, _ := m.run("journalctl", "--no-pager", "--lines=60", "--unit=hearth*")
			tb.Logf("the journal says\n%s", journal)
		}
	})
	// No balancer to wait for.
	m.write("/etc/systemd/system/hearth.service.d/drain.conf", "[Service]\nEnvironment=HEARTH_SERVER_DRAIN=0s\n")
	return m
}

// property asks systemd about the service.
func (m *machine) property(name string) string {
	m.tb.Helper()
	return m.must("systemctl", "show", "--value", "--property", name, "hearth.service")
}

// write writes a file of the machine.
func (m *machine) write(path, text string) {
	m.tb.Helper()
	cmd := m.command("sh", "-euc", `mkdir -p "$(dirname "$0")"; cat >"$0"`, path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.tb.Fatalf("writing %s: %v\n%s", path, err, out)
	}
}

// withResource is added to the installed configuration: something to write and read
// without a source, and a token that only the credentials hold.
const withResource = `
[[auth.token]]
name = "writer"
scopes = ["write"]
token_file = "writer-token"

[[resource]]
name = "item"
path = "/item/{id:string}"
key = "item:{id}"

[[batch]]
path = "/batch_process"
resource = "item"
`

const writerToken = "0123456789abcdef0123456789abcdef"

// batch stores an item and returns the status.
func (m *machine) batch(token string) int {
	m.tb.Helper()
	req, err := http.NewRequest(http.MethodPost, public+"/batch_process", strings.NewReader(`[{"id":"a","n":1}]`))
	must(m.tb, err)
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := m.http.Do(req)
	must(m.tb, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestPackageUnderSystemd takes the package through its life where systemd runs, with
// the unit's user, directories, credentials and filters as they are.
func TestPackageUnderSystemd(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	const config = "/etc/hearth/config.toml"
	m := newSystemdMachine(t)

	for unit, want := range map[string]string{"hearth.service": "enabled", "hearth.socket": "disabled", "hearth-admin.socket": "disabled"} {
		if got, _ := m.run("systemctl", "is-enabled", unit); got != want {
			t.Errorf("%s is %q, want %q", unit, got, want)
		}
	}
	if out := m.must("systemd-analyze", "verify", "hearth.service", "hearth.socket", "hearth-admin.socket"); out != "" {
		t.Errorf("systemd-analyze verify says\n%s", out)
	}
	pid := m.property("MainPID")
	status := m.must("cat", "/proc/"+pid+"/status")
	for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(status, want+"\n") {
			t.Errorf("the server's process has no %q:\n%s", want, status)
		}
	}
	if got := m.must("stat", "--format", "%U %G", "/proc/"+pid); got != "hearth hearth" {
		t.Errorf("the server runs as %q", got)
	}

	// Secrets from credentials; writes reach the embedded tier through the filters.
	m.sh("umask 077; printf " + writerToken + " >/etc/hearth/secret/writer-token")
	m.write("/etc/systemd/system/hearth.service.d/secrets.conf", "[Service]\nLoadCredential=writer-token:/etc/hearth/secret/writer-token\n")
	m.write("/tmp/more", withResource)
	m.sh("cat /tmp/more >>" + config + "; systemctl daemon-reload; systemctl restart hearth")
	m.awaitHealthy()
	if got := m.batch(""); got != http.StatusUnauthorized {
		t.Errorf("a batch without the token is answered %d", got)
	}
	if got := m.batch(writerToken); got != http.StatusOK {
		t.Errorf("a batch is answered %d", got)
	}
	item := func() {
		t.Helper()
		if code, body := m.get(public + "/item/a"); code != http.StatusOK || !strings.Contains(body, `"n":1`) {
			t.Errorf("the item is answered %d %s", code, body)
		}
	}
	item()

	// A reload keeps the process, and systemd sees its end.
	pid = m.property("MainPID")
	m.must("systemctl", "reload", "hearth")
	testkit.Eventually(t, patience, "the reload is over", func() bool { return m.property("ActiveState") == "active" })
	if got := m.property("MainPID"); got != pid {
		t.Errorf("a reload changed the process from %s to %s", pid, got)
	}
	item()

	// The new version takes over.
	m.must("dpkg", "--install", m.put(newer(t)))
	m.awaitHealthy()
	if got := m.property("MainPID"); got == pid {
		t.Error("the upgrade left the old process")
	}
	item()

	// One that does not accept the configuration does not.
	pid = m.property("MainPID")
	m.sh("cp -p " + config + " /tmp/good; echo 'colour = 1' >>" + config)
	out := m.must("dpkg", "--install", m.put(older(t, "amd64")))
	for _, want := range []string{"colour", "The old process goes on", "systemctl restart hearth"} {
		if !strings.Contains(out, want) {
			t.Errorf("upgrading with a broken configuration does not say %q:\n%s", want, out)
		}
	}
	if got := m.property("MainPID"); got != pid {
		t.Errorf("upgrading with a broken configuration changed the process from %s to %s", pid, got)
	}
	item()
	m.sh("cp -p /tmp/good " + config + "; systemctl restart hearth")
	m.awaitHealthy()
	item()

	// One that was stopped stays so; one that was removed and comes back starts.
	m.must("systemctl", "stop", "hearth")
	m.must("/var/lib/dpkg/info/hearth.postinst", "configure", "1.0.0") // what an upgrade ends with
	if got := m.property("ActiveState"); got != "inactive" {
		t.Errorf("an upgrade made a stopped service %s", got)
	}
	m.must("dpkg", "--remove", "hearth")
	if got := m.property("LoadState"); got == "loaded" {
		t.Errorf("after the removal the unit is %s", got)
	}
	m.must("dpkg", "--install", m.put(newer(t)))
	m.awaitHealthy()
	item()
	m.must("dpkg", "--purge", "hearth")
	if got := m.property("LoadState") + " " + m.property("ActiveState"); got != "not-found inactive" {
		t.Errorf("after the purge the unit is %s", got)
	}
	m.checkPaths(false, "/etc/hearth", "/var/lib/hearth", "/run/hearth", "/usr/bin/hearth")
}

// TestSocketsUnderSystemd shows what the socket units are for: neither a restart nor
// an upgrade refuses a connection, and their address counts.
func TestSocketsUnderSystemd(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := newSystemdMachine(t)
	m.must("systemctl", "stop", "hearth")
	m.sh(`sed -i 's/^listen = .*/listen = "127.0.0.1:8081"/; s/^admin = .*/admin = "127.0.0.1:9091"/' /etc/hearth/config.toml`)
	m.must("systemctl", "enable", "--now", "hearth.socket", "hearth-admin.socket")
	if code, body := m.get(admin + "/livez"); code != http.StatusOK { // starts the service
		t.Fatalf("/livez says %d %s", code, body)
	}
	m.awaitHealthy()
	if code, _ := m.get("http://127.0.0.1:8081/healthz"); code != 0 {
		t.Error("the server has opened server.listen beside the socket that it was given")
	}

	var asked, failed atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: m.dial, DisableKeepAlives: true}}
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				resp, err := client.Get(public + "/")
				if err == nil {
					err = resp.Body.Close()
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("during restarts a request failed: %v", err)
				}
			}
		})
	}
	restart := func(how ...string) {
		t.Helper()
		pid, before := m.property("MainPID"), asked.Load()
		m.must(how...)
		if got := m.property("MainPID"); got == pid {
			t.Errorf("%s left the process", strings.Join(how, " "))
		}
		testkit.Eventually(t, patience, "requests were sent", func() bool { return asked.Load() > before+20 })
	}
	restart("systemctl", "restart", "hearth")
	restart("dpkg", "--install", m.put(newer(t)))
	restart("systemctl", "restart", "hearth")
	close(stop)
	readers.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}

	// Without the sockets the configuration counts again.
	m.must("systemctl", "disable", "--now", "hearth.socket", "hearth-admin.socket")
	m.must("systemctl", "restart", "hearth")
	testkit.Eventually(t, patience, "server.listen is open", func() bool {
		code, _ := m.get("http://127.0.0.1:8081/healthz")
		return code == http.StatusOK
	})
	if code, _ := m.get(public + "/healthz"); code != 0 {
		t.Error("the socket's address still answers")
	}
}

// TestFailuresUnderSystemd freezes the server and kills it: systemd has to start
// another one. It must not, and say why, when the configuration is faulty.
func TestFailuresUnderSystemd(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := newSystemdMachine(t)
	if got := m.property("WatchdogUSec"); got != "30s" {
		t.Errorf("the watchdog waits %s", got)
	}
	m.write("/etc/systemd/system/hearth.service.d/watchdog.conf", "[Service]\nWatchdogSec=3\n")
	m.sh("systemctl daemon-reload; systemctl restart hearth")
	m.awaitHealthy()
	pid := m.property("MainPID")
	start := m.property("WatchdogTimestampMonotonic")
	testkit.Eventually(t, patience, "the server feeds the watchdog", func() bool {
		return m.property("WatchdogTimestampMonotonic") != start
	})
	m.must("kill", "-STOP", pid)
	testkit.Eventually(t, patience, "the watchdog has restarted the server", func() bool {
		return m.property("MainPID") != pid && m.property("ActiveState") == "active"
	})
	m.awaitHealthy()
	journal := func(want string) {
		t.Helper()
		testkit.Eventually(t, patience, "the journal says "+want, func() bool {
			return strings.Contains(m.must("journalctl", "--no-pager", "--unit=hearth"), want)
		})
	}
	journal("Watchdog timeout")
	journal("goroutine ") // the stacks of the frozen server

	pid = m.property("MainPID")
	m.must("kill", "-KILL", pid)
	testkit.Eventually(t, patience, "the killed server is back", func() bool {
		now := m.property("MainPID")
		return now != pid && now != "0" && m.property("ActiveState") == "active"
	})
	m.awaitHealthy()

	m.sh("echo 'colour = 1' >>/etc/hearth/config.toml")
	if out, err := m.run("systemctl", "restart", "hearth"); err == nil {
		t.Errorf("a restart with a faulty configuration succeeded: %s", out)
	}
	journal("colour")
	m.must("systemctl", "stop", "hearth")
}

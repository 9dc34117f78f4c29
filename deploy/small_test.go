package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// smallCommands are what examples/small/README.md has root type where the package is.
func smallCommands(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile("../examples/small/README.md")
	must(tb, err)
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(text)
	if block == nil {
		tb.Fatal("examples/small/README.md has no block of shell commands")
	}
	return string(block[1])
}

// resident returns a line of the process's memory, such as VmHWM, in bytes.
func (m *machine) resident(pid, name string) int {
	m.tb.Helper()
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindStringSubmatch(m.must("cat", "/proc/"+pid+"/status"))
	if found == nil {
		m.tb.Fatalf("process %s has no %s", pid, name)
	}
	kilobytes, err := strconv.Atoi(found[1])
	must(m.tb, err)
	return kilobytes << 10
}

// TestSmallMachineUnderSystemd sets up examples/small as its README says, from the installed
// package, and fills the memory. Where the kernel bounds the service's group it holds the
// bound; elsewhere, as beside the older hierarchies, what was resident at most is below it.
func TestSmallMachineUnderSystemd(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	m := newSystemdMachine(t)
	testkit.Need(t, "sqlite3", []string{"sqlite3"})
	m.sh(smallCommands(t))
	m.awaitHealthy()
	for property, want := range map[string]string{"MemoryMax": "100663296", "LimitNOFILE": "4096", "SupplementaryGroups": "places", "ActiveState": "active"} {
		if got := m.property(property); got != want {
			t.Errorf("%s is %q, want %q", property, got, want)
		}
	}
	pid := m.property("MainPID")
	environment := strings.ReplaceAll(m.must("cat", "/proc/"+pid+"/environ"), "\x00", "\n")
	for _, want := range []string{"GOMEMLIMIT=64MiB", "GOMAXPROCS=1"} {
		if !strings.Contains(environment, want+"\n") {
			t.Errorf("the server's environment has no %s:\n%s", want, environment)
		}
	}
	if code, body := m.get(public + "/place/1"); code != http.StatusOK || body != `{"id":1,"name":"Säntis","height":2502}` {
		t.Errorf("the first read is answered %d %s", code, body)
	}
	begun := m.resident(pid, "VmRSS")

	// Another program of the group writes; so does a client, into the same file.
	m.sh("useradd --system --groups places script")
	m.must("setpriv", "--reuid", "script", "--regid", "script", "--init-groups",
		"sqlite3", "-cmd", ".timeout 20000", "/var/lib/places/places.db", "UPDATE places SET height = 2501 WHERE id = 1")
	testkit.Eventually(t, patience, "what a script has written is seen", func() bool {
		_, body := m.get(public + "/place/1")
		return strings.Contains(body, "2501")
	})
	req, err := http.NewRequest(http.MethodPut, public+"/place/3", strings.NewReader(`{"name":"Pilatus","height":2128}`))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := m.http.Do(req)
	must(t, err)
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("a write is answered %d", resp.StatusCode)
	}

	// More records than there is room for, in the largest many-reads, twice.
	const rows, atOnce = 201_000, 100
	m.sh(fmt.Sprintf(`sqlite3 -cmd '.timeout 20000' /var/lib/places/places.db "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO places SELECT i, 'place', i FROM n"`, rows))
	for range 2 {
		for first := 1000; first < rows; first += atOnce {
			var query strings.Builder
			for id := first; id < first+atOnce; id++ {
				fmt.Fprintf(&query, "&id=%d", id)
			}
			if code, body := m.get(public + "/place?" + query.String()[1:]); code != http.StatusOK {
				t.Fatalf("reading %d records is answered %d %.200s", atOnce, code, body)
			}
		}
	}
	most, _ := strconv.Atoi(m.property("MemoryMax"))
	peak := m.resident(pid, "VmHWM")
	t.Logf("%d MB are resident after the first read, %d MB at most", begun>>20, peak>>20)
	if peak >= most {
		t.Errorf("%d bytes were resident, more than MemoryMax=%d", peak, most)
	}
	if got := m.property("MainPID"); got != pid || m.property("NRestarts") != "0" {
		t.Errorf("the process is %s after %s restarts, it was %s", got, m.property("NRestarts"), pid)
	}
	group := "/sys/fs/cgroup" + m.property("ControlGroup")
	if events, err := m.run("cat", group+"/memory.events"); err == nil {
		if got := m.must("cat", group+"/memory.max"); got != "100663296" || !strings.Contains(events, "oom_kill 0") {
			t.Errorf("the kernel's bound is %s, and it tells\n%s", got, events)
		}
	}

	// The example runs as it is installed, by any user, beside the service.
	m.write("/tmp/try", `cd /
HEARTH_SERVER_LISTEN=127.0.0.1:8181 HEARTH_SERVER_ADMIN=127.0.0.1:9191 /usr/share/doc/hearth/examples/small/run >/tmp/said 2>&1 &
until curl -fs http://127.0.0.1:8181/place/2; do kill -0 $! || { cat /tmp/said; exit 1; }; done
kill $!
wait $!
`)
	if out := m.must("setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "sh", "-u", "/tmp/try"); !strings.Contains(out, "Rigi") {
		t.Errorf("the installed example says\n%s", out)
	}
}

package deploy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hearth/internal/testkit"
)

// buildReleased builds the package of the last release, which the file last-release names,
// by what that release itself builds packages with, and returns the path.
var buildReleased = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile("last-release")
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
	git := func(args ...string) error {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	if err := git("rev-parse", "--verify", "--quiet", name+"^{commit}"); err != nil {
		return "", fmt.Errorf("deploy/last-release names %s, from which upgrades are tested, and this clone does not have it; "+
			"run: git fetch --unshallow --tags (or, in a whole clone, git fetch --tags): %w", name, err)
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel", name+"^{commit}").Output()
	if err != nil {
		return "", err
	}
	at := strings.Fields(string(top))
	source, packages := filepath.Join(built, "released-source"), filepath.Join(built, "released")
	if err := git("clone", "--quiet", "--shared", "--no-checkout", at[0], source); err != nil {
		return "", err
	}
	if err := git("-C", source, "checkout", "--quiet", "--detach", at[1]); err != nil {
		return "", err
	}
	cmd := exec.Command("make", "--no-print-directory", "-C", source, "deb", "DIST="+packages, "ARCH=amd64", "DEB_ARCH=amd64", "FAST=1")
	cmd.Env = append(os.Environ(), "DPKG_DEB_FLAGS=-Zgzip -z1") // how v0.1 compresses quickly
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make deb of %s: %w\n%s", name, err, out)
	}
	found, err := filepath.Glob(filepath.Join(packages, "*_amd64.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("make deb of %s left %q (%v), want one package", name, found, err)
	}
	return found[0], nil
})

// released returns the path of the last release's package.
func released(tb testing.TB) string {
	tb.Helper()
	testkit.Need(tb, "dpkg", []string{"dpkg-deb"})
	testkit.Need(tb, "make", []string{"make"})
	deb, err := buildReleased()
	must(tb, err)
	return deb
}

// What is served through upgrades: rows of a database that others write, too, records
// whose only place is the shared tier, and a counter there.
const upgradeConfig = `
[server]
listen = "127.0.0.1:8080"
admin = "127.0.0.1:9090"

[database]
url = "sqlite:/var/lib/hearth/places.db"

[feed]
mode = "outbox"

[[resource]]
name = "place"
path = "/place/{id:int}"
key = "place:{id}"
envelope = ""
select = "SELECT id, name, height FROM places WHERE id = {id}"
upsert = "INSERT INTO places (id, name, height) VALUES ({id}, {body.name}, {body.height}) ON CONFLICT (id) DO UPDATE SET name = excluded.name, height = excluded.height"
delete = "DELETE FROM places WHERE id = {id}"
ttl = { cold = "1h", hot = "1h" }

[[resource]]
name = "item"
path = "/item/{id:string}"
key = "item:{id}"
envelope = ""

[[batch]]
path = "/batch_process"
resource = "item"

[[counter]]
path = "/visits"
key = "visits"
`

// placesTable is the database of upgradeConfig.
const placesTable = `PRAGMA journal_mode = wal;
CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL, height INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO places SELECT i, 'place', 1000 FROM n;`

// asHearth runs a program as the service's user.
func (m *machine) asHearth(args ...string) string {
	m.tb.Helper()
	return m.must(append([]string{"setpriv", "--reuid", "hearth", "--regid", "hearth", "--init-groups"}, args...)...)
}

// upgraded is a machine through whose upgrades clients read and write.
type upgraded struct {
	*machine
	tier   string // as Cache-Status names it
	client *http.Client
	asked  atomic.Int64
}

// ask sends a request on a connection of its own, and returns the status, the body and the
// Cache-Status; an error is status 0.
func (u *upgraded) ask(method, path, body string) (code int, text, tiers string) {
	u.asked.Add(1)
	req, err := http.NewRequest(method, public+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error(), ""
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error(), ""
	}
	return resp.StatusCode, string(all), resp.Header.Get("Cache-Status")
}

// want asks, and fails the test unless the answer is 200 and contains a text.
func (u *upgraded) want(method, path, body, contains string) (text, tiers string) {
	u.tb.Helper()
	code, text, tiers := u.ask(method, path, body)
	if code != http.StatusOK || !strings.Contains(text, contains) {
		u.tb.Errorf("%s %s %s is answered %d %s (%s), want 200 with %q", method, path, body, code, text, tiers, contains)
	}
	return text, tiers
}

// store stores an item.
func (u *upgraded) store(id string) {
	u.tb.Helper()
	u.want(http.MethodPost, "/batch_process", fmt.Sprintf(`[{"id":%q,"n":1}]`, id), "success")
}

// traffic reads, writes and counts until the returned function is called. Each answer has
// to be 200, and each read to show what was acknowledged before it.
func (u *upgraded) traffic() (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	repeat := func(one func(n int)) {
		all.Go(func() {
			for n := 1; ; n++ {
				select {
				case <-done:
					return
				default:
					one(n)
				}
			}
		})
	}
	repeat(func(int) { u.want(http.MethodGet, "/place/1", "", `"height":1000`) })
	repeat(func(int) { u.want(http.MethodGet, "/item/a", "", `"n":1`) })
	repeat(func(n int) {
		u.want(http.MethodPut, "/place/2", fmt.Sprintf(`{"name":"written","height":%d}`, n), "written")
		u.want(http.MethodGet, "/place/2", "", fmt.Sprintf(`"height":%d}`, n))
	})
	last := -1
	repeat(func(int) {
		text, _ := u.want(http.MethodGet, "/visits", "", "current_requests")
		var count map[string]int
		if err := json.Unmarshal([]byte(text), &count); err != nil || count["current_requests"] <= last {
			u.tb.Errorf("the counter says %s (%v) after %d", text, err, last)
		}
		last = count["current_requests"]
	})
	return func() {
		close(done)
		all.Wait()
	}
}

// newUpgraded installs the last release, with live data in the shared tier and a database.
func newUpgraded(tb testing.TB, tier string) *upgraded {
	tb.Helper()
	u := &upgraded{machine: bootSystemd(tb), tier: "Hearth-" + tier}
	u.client = &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: u.dial, DisableKeepAlives: true}}
	shared := "[embedded]\npath = \"" + state + "\"\n"
	if tier == "Redis" {
		server := testkit.NeedRedis(tb)
		u.must("systemd-run", "--unit=shared-tier", server, "--port", "6390", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp")
		shared = "[redis]\nurl = \"redis://127.0.0.1:6390\"\n"
	}
	u.must("dpkg", "--install", u.put(released(tb)))
	u.must("systemctl", "stop", "hearth")
	u.write(config, upgradeConfig+shared)
	u.asHearth(testkit.Need(tb, "sqlite3", []string{"sqlite3"}), "/var/lib/hearth/places.db", placesTable)
	u.asHearth("hearth", "-config", config, "feed", "install", "-apply")
	u.must("systemctl", "enable", "--now", "hearth.socket", "hearth-admin.socket")
	u.must("systemctl", "start", "hearth")
	u.awaitHealthy()
	testkit.Eventually(tb, patience, "the last release is ready", func() bool {
		code, _ := u.get(admin + "/readyz")
		return code == http.StatusOK
	})
	u.store("a")
	return u
}

// stages is how often a version takes the other's place in one test.
const stages = 4

// seed leaves what the stages after it find: items, and rows that were read once.
func (u *upgraded) seed() {
	u.tb.Helper()
	for n := 1; n <= stages; n++ {
		u.store(fmt.Sprintf("seed-%d", n))
		u.want(http.MethodGet, fmt.Sprintf("/place/%d", 10+n), "", `"height":1000`)
	}
	u.store("from-0")
}

// replace installs a package and wants another process of that version, which finds
// everything that was there, without a load.
func (u *upgraded) replace(stage int, deb string) {
	u.tb.Helper()
	pid, before := u.property("MainPID"), u.asked.Load()
	u.raise(2 * stage)
	u.must("dpkg", "--install", deb)
	if got := u.property("MainPID"); got == pid {
		u.tb.Errorf("stage %d left the old process", stage)
	}
	u.check(stage)
	testkit.Eventually(u.tb, patience, "requests were sent", func() bool { return u.asked.Load() > before+100 })
}

// raise is what another program writes into the database.
func (u *upgraded) raise(height int) {
	u.tb.Helper()
	u.asHearth("sqlite3", "-cmd", ".timeout 20000", "/var/lib/hearth/places.db", fmt.Sprintf("UPDATE places SET height = %d WHERE id = 3", height))
}

// check looks at data, feed and version after a process has taken over.
func (u *upgraded) check(stage int) {
	u.tb.Helper()
	version := strings.TrimPrefix(u.must("hearth", "version"), "hearth ")
	testkit.Eventually(u.tb, patience, "the server of the installed version is ready, and the feed live", func() bool {
		code, metrics := u.get(admin + "/metrics")
		ready, _ := u.get(admin + "/readyz")
		return code == http.StatusOK && ready == http.StatusOK && strings.Contains(metrics, `hearth_build_info{`) &&
			strings.Contains(metrics, `version="`+version+`"`) && strings.Contains(metrics, "hearth_feed_live 1\n")
	})
	for path, want := range map[string]string{
		fmt.Sprintf("/item/seed-%d", stage):   `"n":1`,
		fmt.Sprintf("/item/from-%d", stage-1): `"n":1`, // stored by the other version
		fmt.Sprintf("/place/%d", 10+stage):    `"height":1000`,
	} {
		if _, tiers := u.want(http.MethodGet, path, "", want); !strings.Contains(tiers, u.tier+"; hit") {
			u.tb.Errorf("stage %d: %s comes from %q, want a hit of %s", stage, path, tiers, u.tier)
		}
	}
	u.store(fmt.Sprintf("from-%d", stage))

	// What another program has written before, and writes now.
	sees := func(height int) {
		u.tb.Helper()
		testkit.Eventually(u.tb, patience, fmt.Sprintf("stage %d: the height %d is seen", stage, height), func() bool {
			_, text, _ := u.ask(http.MethodGet, "/place/3", "")
			return strings.Contains(text, fmt.Sprintf(`"height":%d}`, height))
		})
	}
	sees(2 * stage)
	u.raise(2*stage + 1)
	sees(2*stage + 1)
	u.asHearth("hearth", "-config", config, "feed", "status") // or it fails: the triggers are the version's
}

// TestUpgradeFromTheLastRelease replaces the last release by this one and back, with live
// data and clients, as docs/upgrading.md says that it can be done: nothing is changed by
// hand, no request fails, and nothing is lost.
func TestUpgradeFromTheLastRelease(t *testing.T) {
	if !testkit.Long() {
		return // packages are built and installed by make prove
	}
	t.Parallel()
	for _, tier := range []string{"Embedded", "Redis"} {
		t.Run(tier, func(t *testing.T) {
			t.Parallel()
			u := newUpgraded(t, tier)
			before, this := u.put(released(t)), u.put(newer(t))
			files := u.sh("sha256sum " + config + "; stat --format '%a %U:%G' " + config)
			u.seed()
			stop := u.traffic()
			u.replace(1, this)
			u.replace(2, before)
			u.replace(3, this)
			if got := u.sh("sha256sum " + config + "; stat --format '%a %U:%G' " + config); got != files {
				t.Errorf("the upgrades have changed the configuration to\n%s\nfrom\n%s", got, files)
			}

			// A key that the older version does not know stops nobody, and is told.
			u.sh("cp -p " + config + " /tmp/without; sed -i 's/^admin = .*/&\\nkey_of_a_later_version = 1/' " + config)
			pid := u.property("MainPID")
			if out := u.must("dpkg", "--install", before); !strings.Contains(out, "key_of_a_later_version") || !strings.Contains(out, "The old process goes on") {
				t.Errorf("going back with a key that is not known says\n%s", out)
			}
			if got := u.property("MainPID"); got != pid {
				t.Errorf("the process is %s, it was %s", got, pid)
			}
			u.sh("cp -p /tmp/without " + config)
			u.raise(2 * stages)
			u.must("systemctl", "restart", "hearth")
			u.check(stages)
			stop()
			t.Logf("%d requests", u.asked.Load())
		})
	}
}

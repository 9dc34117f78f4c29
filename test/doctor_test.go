package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestDoctor: surroundings that are well have no fault, and what is changed about them is found,
// with what to do.
func TestDoctor(t *testing.T) {
	t.Parallel()
	r, db := testkit.Redis(t), testkit.Postgres(t)
	db.Exec("CREATE TABLE t (id int PRIMARY KEY, v text)")
	dir := testkit.TempDir(t, "doctor")
	file := filepath.Join(dir, "config.toml")
	config := "[redis]\nurl = \"" + r.URL() + "\"\n[database]\nurl = \"" + db.URL() + "\"\n[[resource]]\nname = \"t\"\npath = \"/t/{id:int}\"\nkey = \"t:{id}\"\nselect = \"SELECT id, v FROM t WHERE id = {id}\"\n" +
		"upsert = \"INSERT INTO t (id, v) VALUES ({id}, {body.v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v\"\n[[resource]]\nname = \"item\"\npath = \"/item/{id:string}\"\nkey = \"item:{id}\"\n[[batch]]\npath = \"/batch\"\nresource = \"item\"\n"
	must(t, os.WriteFile(file, []byte(config), 0o600))
	hearth, err := exec.LookPath(launch.Name)
	must(t, err)
	run := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(hearth, append([]string{"doctor", "-config", file, "-all", "-admin", "127.0.0.1:1"}, args...)...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run(); code != 0 || !strings.Contains(out, "rights: all that is needed") || !strings.Contains(out, "the database, version: PostgreSQL") || !strings.Contains(out, "\nfaults: 0, ") {
		t.Errorf("surroundings that are well end with %d and print\n%s", code, out)
	}
	if keys := fmt.Sprint(r.Do("KEYS", "*")); strings.Contains(keys, "doctor") {
		t.Errorf("a key is left behind: %s", keys)
	}
	balancer := filepath.Join(dir, "haproxy.cfg")
	must(t, os.WriteFile(balancer, []byte("defaults\n retry-on all-retryable-errors\nbackend hearth\n server a 127.0.0.1:1 check\n"), 0o600))
	r.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	r.Do("CONFIG", "SET", "maxmemory", "100mb")
	r.Do("ACL", "SETUSER", "narrow", "on", ">x", "~hearth:*", "+@all", "-scan")
	db.Exec("DROP TABLE t")
	must(t, os.WriteFile(file, []byte(strings.Replace(config, "redis://", "redis://narrow:x@", 1)), 0o600))
	out, code := run("-balancer", balancer)
	for _, want := range []string{
		"maxmemory-policy: allkeys-lru\n         → CONFIG SET maxmemory-policy volatile-lru",
		"NOPERM", "SCAN:", "scripts on keys such as t:1",
		`relation "t" does not exist`,
		"retry-on: all-retryable-errors", "health check",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it says nothing of %q:\n%s", want, out)
		}
	}
	if code != 1 {
		t.Errorf("it ends with %d", code)
	}
	if out, code := run("-balancer", filepath.Join(dir, "none.cfg")); code != 2 || !strings.Contains(out, "there is no such file") {
		t.Errorf("without the balancer's file it ends with %d and prints\n%s", code, out)
	}
	if out, code := run("-json"); code != 1 || !strings.HasPrefix(out, "[\n") {
		t.Errorf("as JSON it ends with %d and prints\n%s", code, out)
	}
}

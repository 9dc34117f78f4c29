package test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// staleFound is how many copies in memory the audit of an instance has found stale.
func staleFound(t testing.TB, in *launch.Instance) float64 {
	t.Helper()
	return in.Metric(`hearth_audit_checks_total{against="memory",result="stale"}`)
}

// TestAuditFindsAPlantedFault runs the program with a fault in it: pushes of Redis get lost,
// but for those by which the link proves itself. The instance goes on answering the old
// record, unmarked, at a modest rate; the audit finds, counts, logs and heals that.
func TestAuditFindsAPlantedFault(t *testing.T) {
	if !testkit.Long() {
		return // TestAuditFindsALostPush has the same fault without a program built for it
	}
	t.Parallel()
	fault, redis := filepath.Join(t.TempDir(), "fault"), testkit.Redis(t)
	faulty := launch.Build(t, launch.Root(t), "hearth_fault")
	if !hasFault(t, faulty) {
		t.Error("the fault's variable is not in the program that has the fault, so its absence elsewhere proves nothing")
	}
	in := launch.Program{
		Path: faulty, Config: launch.Demo(t),
		Env: []string{"HEARTH_REDIS_URL=" + redis.URL(), "FAULT_DROP_PUSHES=" + fault},
	}.Ready(t)
	c := in.MustDial()
	keep := func(v int64) {
		redis.Do("SET", "item:lost", value(v))
		testkit.Eventually(t, launch.Patience, "the item is in memory", func() bool {
			got := c.Get("/item/lost")
			return strings.HasPrefix(got.Tiers, "Hearth-Memory; hit") && versionOf(t, got) == v
		})
	}
	var found []time.Duration
	for round := range 3 {
		keep(1)
		if err := os.WriteFile(fault, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		redis.Do("SET", "item:lost", value(2))
		changed, old := time.Now(), 0
		testkit.Eventually(t, launch.Patience, "the copy is dropped", func() bool {
			got := c.Get("/item/lost")
			if versionOf(t, got) == 2 {
				return true
			}
			if old++; !strings.HasPrefix(got.Tiers, "Hearth-Memory; hit; ttl=") || strings.Contains(got.Tiers, "detail=") {
				t.Fatalf("the old record is answered as %q: no promise is broken by that", got.Tiers)
			}
			return false
		})
		found = append(found, time.Since(changed))
		if old == 0 {
			t.Fatal("the push has come, so there was no fault to find")
		}
		if err := os.Remove(fault); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, launch.Patience, "it is counted", func() bool { return staleFound(t, in) >= float64(round+1) })
	}
	t.Logf("a lost push was found and healed after %v", found)
	var byCause float64
	for _, age := range []string{"1s", "10s", "1m", "10m", "more"} {
		byCause += in.Metric(`hearth_audit_stale_total{against="memory",age="` + age + `",cause="changed"}`)
	}
	if byCause != 3 {
		t.Errorf("%v copies counted by age, want 3: each is found once, however often it is asked for meanwhile", byCause)
	}
	if s := in.Metric(`hearth_audit_consistency_ratio{against="memory",window="hour"}`); s > 1-3/in.Metric(`hearth_audit_window_checks{against="memory",window="hour"}`) {
		t.Errorf("the promise is said to be kept in %v at least, as if nothing had been found", s)
	}
	if text := in.Logs(); strings.Count(text, "audit: memory had a copy") != 3 || !strings.Contains(text, "key=item:lost") {
		t.Error("the log does not tell of it three times, with the key")
	}
	// Without the fault the push comes first.
	keep(3)
	redis.Do("SET", "item:lost", value(4))
	testkit.Eventually(t, launch.Patience, "the push is applied", func() bool { return versionOf(t, c.Get("/item/lost")) == 4 })
	if n := staleFound(t, in); n != 3 {
		t.Errorf("%v copies were found stale, want no more than before", n)
	}
}

// hasFault tells whether a program reads the variable by which the fault is switched on.
func hasFault(t *testing.T, path string) bool {
	t.Helper()
	program, err := os.ReadFile(path)
	must(t, err)
	return bytes.Contains(program, []byte("FAULT_DROP_PUSHES"))
}

// TestTheFaultIsNotShipped: it is in a file that no build takes without its tag, and nothing of
// it is in the program that is built.
func TestTheFaultIsNotShipped(t *testing.T) {
	t.Parallel()
	for tags, want := range map[string]bool{"": false, "hearth_fault": true} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", tags, "-f", "{{.GoFiles}}", "hearth/cache/redis").Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(out, []byte("pushfault.go")); got != want {
			t.Errorf("built with tags %q the fault is in: %v, want %v", tags, got, want)
		}
	}
	if hasFault(t, launch.Build(t, launch.Root(t))) {
		t.Error("the program that is built has the fault in it")
	}
}

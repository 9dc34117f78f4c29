package launch_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/inside"
	"hearth/internal/testkit/launch"
)

func TestMain(m *testing.M) { inside.Main(m) }

// TestBothForms: in a process or here, an instance serves, reloads, and ends with
// the same exit statuses.
func TestBothForms(t *testing.T) {
	t.Parallel()
	for name, here := range map[string]bool{"process": false, "here": true} {
		t.Run(name, func(t *testing.T) {
			in := launch.Program{Config: launch.Demo(t), Public: launch.Port, Env: []string{"HEARTH_SERVER_DRAIN=0s"}, Here: here}.Ready(t)
			if got := in.Get("/user/1"); got.Code != http.StatusOK || !strings.Contains(got.Body, "张三") {
				t.Errorf("answered %v", got)
			}
			if got := in.MustDial().Ask(http.MethodPut, "/user/2", `{"name":"Ada","city":"London"}`); got.Code != http.StatusOK {
				t.Errorf("over a connection of the test's own: answered %v", got)
			}
			if tiers, err := in.Answered(); err != nil || tiers["source"] != 2 || tiers["memory"] != 0 {
				t.Errorf("answered by tier: %v, %v, want 2 by the source", tiers, err)
			}
			in.Configure("nonsense = 1\n")
			in.Reload("failed")
			in.Configure(launch.Demo(t))
			in.Reload("ok")
			in.Stop()
			if in.Running() {
				t.Error("a stopped instance runs")
			}
			in = launch.Program{Config: "nonsense = 1\n", Here: here}.Start(t)
			if got := in.Wait(); !got.Exited() || got.ExitStatus() != 1 || !strings.Contains(in.Logs(), "nonsense") {
				t.Errorf("with a faulty configuration: ended with %#x, and printed %s", int(got), in.Logs())
			}
		})
	}
}

// TestWrapper runs the program by another command, and kills it.
func TestWrapper(t *testing.T) {
	in := launch.Program{Wrapper: []string{"sh", "-c", `umask 077; exec "$0" "$@"`}}.Ready(t)
	in.Kill()
	if got := in.Wait(); !got.Signaled() || got.Signal() != syscall.SIGKILL {
		t.Errorf("ended with %#x", int(got))
	}
	in.Kill()
}

// TestAgain starts an instance in place of another, at its addresses.
func TestAgain(t *testing.T) {
	t.Parallel()
	first := launch.Program{Config: launch.Demo(t), Public: launch.Port, Admin: launch.Port, Orderly: true}.Ready(t)
	first.Kill()
	again := first.Again()
	again.AwaitReady()
	if again.Public != first.Public || again.Admin != first.Admin || again.Dir != first.Dir {
		t.Errorf("%s, %s in %s, want %s, %s in %s", again.Public, again.Admin, again.Dir, first.Public, first.Admin, first.Dir)
	}
	if got := again.Get("/user/1"); got.Code != http.StatusOK {
		t.Errorf("answered %v", got)
	}
	testkit.Eventually(t, 20*time.Second, "it has used processor time", func() bool { // which is counted in steps of 10 ms
		again.Get("/user/1")
		used, err := again.Process().CPUTime()
		if err != nil {
			t.Fatal(err)
		}
		return used > 0
	})
	err := testkit.Run(t.Context(), func(tb testkit.TB) {
		in := launch.Program{Config: "nonsense = 1\n", Orderly: true}.Start(tb)
		<-in.Done()
	})
	if err == nil || !strings.Contains(err.Error(), "want exit status 0") {
		t.Errorf("got %v, want that it has ended by itself", err)
	}
}

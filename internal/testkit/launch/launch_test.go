package launch_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit/launch"
)

func TestMain(m *testing.M) { launch.Main(m) }

// TestBothForms: in a process or here, an instance serves, reloads, and ends with
// the same exit statuses.
func TestBothForms(t *testing.T) {
	for name, here := range map[string]bool{"process": false, "here": true} {
		t.Run(name, func(t *testing.T) {
			in := launch.Program{Config: launch.Demo(t), Public: launch.Port, Env: []string{"HEARTH_SERVER_DRAIN=0s"}, Here: here}.Ready(t)
			if got := in.Get("/user/1"); got.Code != http.StatusOK || !strings.Contains(got.Body, "张三") {
				t.Errorf("answered %v", got)
			}
			if got := in.MustDial().Ask(http.MethodPut, "/user/2", `{"name":"Ada","city":"London"}`); got.Code != http.StatusOK {
				t.Errorf("over a connection of the test's own: answered %v", got)
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

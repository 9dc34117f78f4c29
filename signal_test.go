package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
)

const ofOneTable = `
[server]
drain = "10m"
[embedded]
path = "tier.db"
[database]
url = "sqlite:db"
init = ["CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY)", "INSERT OR IGNORE INTO users VALUES (1)"]
[[resource]]
name = "user"
path = "/user/{user_id:int}"
key = "user:{user_id}"
select = "SELECT id FROM users WHERE id = {user_id}"
`

// hanging starts an instance whose start-up hangs at a configuration file that
// does not answer, and returns once it does so. What is written to it, and its
// end, ends that.
func hanging(t *testing.T) (in *instance, file *os.File, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "config.toml")
	must(t, syscall.Mkfifo(path, 0o600))
	in = launchIn(t, filepath.Dir(path))
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // returns when the other end is opened
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return in, file, path
}

// end waits for the end of the process.
func (in *instance) end() syscall.WaitStatus {
	_ = in.cmd.Wait()
	return in.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func (in *instance) signal(signals ...syscall.Signal) {
	in.tb.Helper()
	for _, s := range signals {
		if err := in.cmd.Process.Signal(s); err != nil {
			in.tb.Fatal(err)
		}
	}
}

// TestAStartUpIsEndedBySignals: the first in order, as far as it can be, the
// second at once.
func TestAStartUpIsEndedBySignals(t *testing.T) {
	other := map[syscall.Signal]syscall.Signal{syscall.SIGTERM: syscall.SIGINT, syscall.SIGINT: syscall.SIGTERM}
	for s := range other {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			in, _, _ := hanging(t)
			in.signal(s)
			if got := in.end(); !got.Exited() || got.ExitStatus() != 0 {
				t.Errorf("after one signal: %v, want exit status 0", in.cmd.ProcessState)
			}
			in, _, _ = hanging(t)
			in.signal(s, other[s]) // of a kind they might arrive as one
			if got := in.end(); !got.Signaled() {
				t.Errorf("after more: %v, want it ended by the signal", in.cmd.ProcessState)
			}
		})
	}
}

// TestADrainIsEndedByASecondSignal, also by one that comes in the same moment.
func TestADrainIsEndedByASecondSignal(t *testing.T) {
	t.Parallel()
	in, file, _ := hanging(t)
	must(t, finish(file, ofOneTable))
	in.awaitReady()
	in.signal(syscall.SIGTERM)
	testkit.Eventually(t, patience, "it drains", func() bool { return in.get("/healthz").code == http.StatusServiceUnavailable })
	in.signal(syscall.SIGTERM)
	if got := in.end(); !got.Signaled() || got.Signal() != syscall.SIGTERM {
		t.Errorf("got %v, want it ended by SIGTERM", in.cmd.ProcessState)
	}
}

// TestAHangupDuringTheStartUpIsObeyedAfterIt: what the file says by then is
// served.
func TestAHangupDuringTheStartUpIsObeyedAfterIt(t *testing.T) {
	t.Parallel()
	in, file, path := hanging(t)
	in.signal(syscall.SIGHUP)
	write(t, path+".new", strings.Replace(ofOneTable, "/user/", "/person/", 1))
	must(t, os.Rename(path+".new", path))
	must(t, finish(file, ofOneTable))
	testkit.Eventually(t, patience, "the later configuration is served", func() bool { return in.get("/person/1").code == http.StatusOK })
}

func finish(f *os.File, text string) error {
	_, err := f.WriteString(text)
	if err == nil {
		err = f.Close()
	}
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAReloadThatHangsDoesNotKeepTheProcess from ending.
func TestAReloadThatHangsDoesNotKeepTheProcess(t *testing.T) {
	t.Parallel()
	in, file, path := hanging(t)
	must(t, finish(file, ofOneTable))
	in.awaitReady()
	in.signal(syscall.SIGHUP) // at the same file, which hangs again
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	in.signal(syscall.SIGINT)
	if got := in.end(); !got.Exited() || got.ExitStatus() != 0 {
		t.Errorf("got %v, want exit status 0", in.cmd.ProcessState)
	}
}

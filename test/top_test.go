package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// guarded is the demo's configuration with a token for its operators.
func guarded(t *testing.T) string {
	return launch.Demo(t) + "\n[[auth.token]]\nname = \"operator\"\nscopes = [\"admin\", \"metrics\", \"write\"]\ntoken = \"a-token-of-some-length-0123456789\"\n"
}

// crowd asks for records until the test ends, whether somebody answers or not.
func crowd(t *testing.T, in *launch.Instance) {
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })
	running.Go(func() {
		for i := 0; testkit.Sleep(ctx, 3e6); i++ {
			if resp, err := in.HTTP.Get(fmt.Sprintf("http://hearth/user/%d", 1+i%(1+i%7))); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
	})
}

// seen waits until the terminal shows something.
func seen(t *testing.T, term *testkit.Terminal, what string, cond func(first, all string) bool) {
	t.Helper()
	all := ""
	defer func() {
		if t.Failed() {
			t.Logf("waiting for %s; the terminal shows\n%s", what, all)
		}
	}()
	await(t, what, func() bool {
		lines := term.Lines()
		all = strings.Join(lines, "\n")
		return cond(lines[0], all)
	})
}

// TestTop looks at a real server under load in a real terminal, presses keys, and lets the
// server go and come back. The terminal is given back as it was.
func TestTop(t *testing.T) {
	t.Parallel()
	in := launch.Program{Config: guarded(t), Env: []string{"HEARTH_REDIS_URL=" + testkit.Redis(t).URL()}}.Ready(t)
	crowd(t, in)
	term := testkit.NewTerminal(t, 80, 24)
	hearth, err := exec.LookPath(launch.Name)
	must(t, err)
	top := fmt.Sprintf("exec %s -config %s top -admin %s", hearth, in.File, in.Admin)
	write(t, filepath.Join(term.Dir, "top"), "echo $$ > pid\n"+top+"\n")
	start := func(mark string) {
		term.Type("clear; stty -g > before; sh ./top; echo " + mark + "=$?; stty -g > after")
		term.Press("Enter")
		seen(t, term, "all is well, and keys", func(first, all string) bool {
			return first == "All is well." && strings.Contains(all, "\nuser:1 ") && strings.Contains(all, "↓READS/s")
		})
	}
	restored := func(how string) {
		t.Helper()
		before, err := os.ReadFile(filepath.Join(term.Dir, "before"))
		must(t, err)
		await(t, how+": the terminal is as it was", func() bool {
			after, err := os.ReadFile(filepath.Join(term.Dir, "after"))
			return err == nil && bytes.Equal(before, after)
		})
		must(t, os.Remove(filepath.Join(term.Dir, "after")))
		if term.Alternate() {
			t.Errorf("%s: the screen is not the shell's", how)
		}
	}
	shows := func(part string) func(first, all string) bool {
		return func(_, all string) bool { return strings.Contains(all, part) }
	}
	start("one")
	for _, step := range []struct{ press, want string }{
		{"m", "↓MISS/s"}, {"?", "Any key goes back."}, {"x", "↓MISS/s"}, {"r", "↓READS/s"}, {"p", "PAUSED All is well."}, {"p", "\nuser:1 "}, {"/", "filter: _"},
	} {
		term.Press(step.press)
		seen(t, term, step.want, shows(step.want))
	}
	term.Type("nobody")
	seen(t, term, "a filter that nothing has", shows("no hot key or resource has that in its name"))
	term.Press("Escape")
	seen(t, term, "all keys again", shows("\nuser:1 "))
	for _, z := range [][2]int{{120, 30}, {40, 10}, {80, 24}} {
		term.Resize(z[0], z[1])
		seen(t, term, fmt.Sprint("the size ", z), func(first, all string) bool {
			lines := strings.Split(all, "\n")
			return first == "All is well." && len(lines) == z[1] && strings.HasPrefix(lines[z[1]-1], "q quit")
		})
	}
	in.Kill()
	seen(t, term, "the link is lost", func(first, all string) bool {
		return strings.HasPrefix(first, "NO LINK since ") && strings.Contains(all, "is not reachable") && strings.Contains(all, "\nuser:1 ")
	})
	in = in.Again()
	seen(t, term, "it goes on", func(first, all string) bool { return first == "All is well." && strings.Contains(all, "\nuser:1 ") })
	term.Press("C-z")
	seen(t, term, "the shell has the terminal", shows("Stopped"))
	restored("Ctrl-Z")
	term.Type("fg; echo resumed=$?; stty -g > after")
	term.Press("Enter")
	seen(t, term, "it goes on after fg", func(first, _ string) bool { return first == "All is well." })
	term.Press("q")
	seen(t, term, "it ends", shows("resumed=0"))
	restored("q")
	start("two")
	term.Press("C-c")
	seen(t, term, "it ends by Ctrl-C", shows("two=0"))
	restored("Ctrl-C")
	start("three")
	number, err := os.ReadFile(filepath.Join(term.Dir, "pid"))
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(number)))
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGTERM))
	seen(t, term, "it ends by SIGTERM", shows("three=0"))
	restored("SIGTERM")
}

// TestTopForScripts: pages and objects, so many as were asked for, and the status at the end.
func TestTopForScripts(t *testing.T) {
	if !testkit.Long() {
		return // make prove has it; TestTop plays the terminal, the tests of internal/top the pages
	}
	t.Parallel()
	in := launch.Ready(t, guarded(t))
	crowd(t, in)
	hearth, err := exec.LookPath(launch.Name)
	must(t, err)
	run := func(args ...string) (out, errs string, status int) {
		t.Helper()
		cmd := exec.Command(hearth, append([]string{"-config", in.File, "top", "-admin", in.Admin}, args...)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			status = exit.ExitCode()
		} else {
			must(t, err)
		}
		return string(stdout), stderr.String(), status
	}
	await(t, "a page has the hottest key", func() bool {
		out, errs, status := run("-1")
		if status != 0 || errs != "" || !strings.HasPrefix(out, "All is well.\n") || !strings.Contains(out, "requests ") || strings.Contains(out, "\x1b") {
			t.Fatalf("-1 ends with %d, %q and prints\n%s", status, errs, out)
		}
		return strings.Contains(out, "\nuser:1 ")
	})
	out, errs, status := run("-json", "-n", "2", "-by", "misses", "-filter", "user:1")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || errs != "" || len(lines) != 2 {
		t.Fatalf("-json -n 2 ends with %d, %q and prints\n%s", status, errs, out)
	}
	for _, line := range lines {
		var got struct {
			Well     bool
			Rates    map[string]float64
			Values   map[string]float64
			HitRatio float64 `json:"hit_ratio"`
			Hot      []hotKey
		}
		must(t, json.Unmarshal([]byte(line), &got))
		if !got.Well || got.Rates["requests_memory"] <= 0 || got.Values["memory_entries"] <= 0 || got.HitRatio <= 0 || len(got.Hot) != 1 || got.Hot[0].Key != "user:1" {
			t.Errorf("an object is %s", line)
		}
	}
	reader := exec.Command("bash", "-o", "pipefail", "-c", `"$0" "$@" | head -n 1; echo "status $?"`, hearth, "-config", in.File, "top", "-admin", in.Admin)
	if out, err := reader.CombinedOutput(); err != nil || string(out) != "All is well.\nstatus 0\n" {
		t.Errorf("a reader that has enough: %v, %s", err, out)
	}
	for _, args := range [][]string{{"-n", "0"}, {"-1", "-n", "2"}, {"-by", "size"}, {"user:1"}, {"-nothing"}} {
		if out, errs, status := run(args...); status != 2 || out != "" || errs == "" {
			t.Errorf("%q ends with %d and prints %s%s", args, status, out, errs)
		}
	}
	other := filepath.Join(in.Dir, "other")
	write(t, other, "another-token-0123456789")
	if out, errs, status := run("-1", "-token-file", other); status != 1 || out != "" || !strings.Contains(errs, "401") || !strings.Contains(errs, other) {
		t.Errorf("with another's token it ends with %d and prints %s%s", status, out, errs)
	}
	in.Kill()
	if out, errs, status := run("-json"); status != 1 || out != "" || !strings.Contains(errs, "is the server running?") {
		t.Errorf("without a server it ends with %d and prints %s%s", status, out, errs)
	}
}

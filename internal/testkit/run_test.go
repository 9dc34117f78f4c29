package testkit_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// fails runs f with an owner of its own and wants it to fail with this text.
func fails(t *testing.T, want string, f func(tb testkit.TB)) {
	t.Helper()
	if err := testkit.Run(t.Context(), f); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestRunEndsInOrder: the context ends first, then what was started last.
func TestRunEndsInOrder(t *testing.T) {
	t.Parallel()
	var order []string
	err := testkit.Run(t.Context(), func(tb testkit.TB) {
		tb.Cleanup(func() { order = append(order, "first") })
		tb.Cleanup(func() {
			if tb.Context().Err() != nil {
				order = append(order, "second")
			}
			tb.Fatal("while ending")
		})
		tb.Logf("a log")
		tb.Errorf("%w", os.ErrInvalid)
		tb.Fatalf("%d", 7)
	})
	if got := strings.Join(order, " "); got != "second first" {
		t.Errorf("it ended %q", got)
	}
	if !errors.Is(err, os.ErrInvalid) || err.Error() != "invalid argument\n7\nwhile ending\na log" {
		t.Errorf("it failed of %v", err)
	}
	if err := testkit.Run(t.Context(), func(tb testkit.TB) { tb.Logf("not told") }); err != nil {
		t.Error(err)
	}
}

// TestProgramHasAnExitStatus: what it finds wrong is told without logs.
func TestProgramHasAnExitStatus(t *testing.T) {
	t.Parallel()
	f := func(want int, wantTold string, run func(tb testkit.TB) error) {
		t.Helper()
		p := testkit.Program{Name: "name", Run: func(tb testkit.TB, _ []string, _, _ io.Writer) error { return run(tb) }}
		var told strings.Builder
		if got := p.Status(t.Context(), nil, io.Discard, &told); got != want || told.String() != wantTold {
			t.Errorf("exit status %d, %q, want %d, %q", got, told.String(), want, wantTold)
		}
	}
	f(0, "", func(testkit.TB) error { return nil })
	f(0, "", func(testkit.TB) error { return flag.ErrHelp })
	f(2, "", func(testkit.TB) error { return errors.Join(testkit.ErrUsage, os.ErrInvalid) })
	f(1, "name: invalid argument\n", func(tb testkit.TB) error { tb.Logf("a log"); return os.ErrInvalid })
	f(1, "name: broken\na log\n", func(tb testkit.TB) error { tb.Logf("a log"); tb.Fatal("broken"); return nil })
}

// TestMeanwhileIsWaitedFor: when it is ended, and at the end at the latest.
func TestMeanwhileIsWaitedFor(t *testing.T) {
	t.Parallel()
	waited := 0
	err := testkit.Run(t.Context(), func(tb testkit.TB) {
		until := func(err error) func(ctx context.Context) error {
			return func(ctx context.Context) error { <-ctx.Done(); waited++; return err }
		}
		testkit.Meanwhile(tb, until(nil))()
		testkit.Meanwhile(tb, until(os.ErrClosed)) // nobody asks
		testkit.Meanwhile(tb, until(os.ErrExist))()
	})
	if waited != 3 || err == nil || err.Error() != os.ErrExist.Error() {
		t.Errorf("%d were waited for, and it failed of %v, want 3 and %v", waited, err, os.ErrExist)
	}
}

// TestTryLeavesThingsRunning: only what fails later is the parent's.
func TestTryLeavesThingsRunning(t *testing.T) {
	t.Parallel()
	var p *testkit.Process
	err := testkit.Run(t.Context(), func(tb testkit.TB) {
		err := testkit.Try(tb, func(tb testkit.TB) {
			p = shell(t, tb, testkit.Command{}, "exec sleep 1000")
			tb.Fatal(os.ErrExist)
		})
		if !errors.Is(err, os.ErrExist) || tb.Failed() || !p.Running() {
			t.Errorf("got %v, failed %v, running %v", err, tb.Failed(), p.Running())
		}
		p.Kill()
		p.AwaitReady(func() bool { return false })
	})
	if err == nil || !strings.Contains(err.Error(), "starting shell: it ended") {
		t.Errorf("got %v, want that the process had ended", err)
	}
}

// shell starts a script.
func shell(t *testing.T, tb testkit.TB, c testkit.Command, script string) *testkit.Process {
	t.Helper()
	c.Name, c.Argv = "shell", []string{"sh", "-c", script}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	return testkit.Start(tb, c)
}

// printed is whether the process has printed text.
func printed(p *testkit.Process, text string) func() bool {
	return func() bool { return strings.Contains(p.Logs(), text) }
}

func TestCommandIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shell.out"), []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(dir, "shell.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := shell(t, t, testkit.Command{Dir: dir, Env: []string{"MARK=x7"}, Files: []*os.File{file}, CPUs: []int{0}},
		`read -r line <&3; echo "$MARK in $PWD after $line"; taskset -p $$; exec sleep 1000`)
	p.AwaitReady(printed(p, "before\nx7 in "+dir+" after before"))
	p.AwaitReady(printed(p, "affinity mask: 1"))
	p.Pause()
	p.Stop() // a paused one ends, too
}

// TestReadyIsAwaited: until a process ends, or the owner's context.
func TestReadyIsAwaited(t *testing.T) {
	t.Parallel()
	never := func() bool { return false }
	fails(t, "no such port", func(tb testkit.TB) {
		shell(t, tb, testkit.Command{}, "echo no such port >&2; exit 3").AwaitReady(never)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	err := testkit.Run(ctx, func(tb testkit.TB) {
		p := shell(t, tb, testkit.Command{}, "exec sleep 1000")
		p.AwaitReady(func() bool { cancel(os.ErrClosed); return false })
	})
	if err == nil || !strings.Contains(err.Error(), os.ErrClosed.Error()) {
		t.Errorf("got %v, want why the context has ended", err)
	}
	fails(t, "starting nothing", func(tb testkit.TB) {
		testkit.Start(tb, testkit.Command{Name: "nothing", Dir: t.TempDir(), Argv: []string{"/nonexistent"}})
	})
	fails(t, "opening the log of nothing", func(tb testkit.TB) {
		testkit.Start(tb, testkit.Command{Name: "nothing", Dir: "/nonexistent", Argv: []string{"sh"}})
	})
	fails(t, "apt-get install its-package", func(tb testkit.TB) { testkit.Need(tb, "its-package", []string{"no-such-program"}) })
}

// TestKillTakesTheGroup has a shell that ignores SIGTERM and a child that holds a
// lock as long as it lives: the write end of a pipe.
func TestKillTakesTheGroup(t *testing.T) {
	t.Parallel()
	fifo := filepath.Join(t.TempDir(), "fifo")
	p := shell(t, t, testkit.Command{Env: []string{"FIFO=" + fifo}},
		`trap "" TERM; mkfifo "$FIFO"; echo ready; sh -c 'while :; do sleep 1000; done' > "$FIFO"`)
	p.AwaitReady(printed(p, "ready"))
	read, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p.Kill()
	if err := read.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); !strings.Contains(err.Error(), "EOF") {
		t.Errorf("reading what the child holds open: %v, want EOF", err)
	}
}

// TestUsageCountsChildren looks at a shell whose child does the work.
func TestUsageCountsChildren(t *testing.T) {
	t.Parallel()
	p := shell(t, t, testkit.Command{}, "sh -c 'while :; do :; done' & wait")
	testkit.Eventually(t, 30*time.Second, "the child's processor time is seen", func() bool {
		used, err := p.CPUTime()
		return err == nil && used >= 5*testkit.Tick
	})
	if n, err := p.Resident(); err != nil || n < 1<<16 || n > 1<<30 {
		t.Errorf("a shell takes %d bytes, %v", n, err)
	}
	p.Stop()
	if _, err := p.CPUTime(); err == nil {
		t.Error("a process that has ended has processor time")
	}
	if _, err := p.Resident(); err == nil {
		t.Error("a process that has ended has memory")
	}
}

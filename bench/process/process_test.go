package process

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNotYet = errors.New("not yet")

// shell starts a script, which is killed after the test.
func shell(t *testing.T, c Command, script string) *Process {
	t.Helper()
	c.Name, c.Argv = "shell", []string{"sh", "-c", script}
	if c.Logs == "" {
		c.Logs = t.TempDir()
	}
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// printed is ready when the process has printed text.
func (p *Process) printed(text string) func() error {
	return func() error {
		if !strings.Contains(p.tail(), text) {
			return errNotYet
		}
		return nil
	}
}

func TestAwaitReportsWhatEnded(t *testing.T) {
	p := shell(t, Command{CPU: AnyCPU}, "echo no such port >&2; exit 3")
	never := func() error { return errNotYet }
	if err := p.Await(t.Context(), never); err == nil || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("got %v, want its log", err)
	}
	if err := p.Stop(time.Minute); err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("stopping: got %v, want that it had ended", err)
	}
}

func TestAwaitEnds(t *testing.T) {
	p := shell(t, Command{CPU: AnyCPU}, "echo here; exec sleep 1000")
	if err := p.Await(t.Context(), p.printed("here")); err != nil {
		t.Error(err)
	}
	polls := 0
	final := func() error { polls++; return FinalError{os.ErrInvalid} }
	if err := p.Await(t.Context(), final); !errors.Is(err, os.ErrInvalid) || polls != 1 {
		t.Errorf("got %v after %d polls, want the error of the first", err, polls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	never := func() error { cancel(); return errNotYet }
	if err := p.Await(ctx, never); !errors.Is(err, errNotYet) {
		t.Errorf("got %v, want the last answer", err)
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
}

func TestCommandIsFollowed(t *testing.T) {
	dir, logs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(logs, "shell.log"), []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := shell(t, Command{Dir: dir, Logs: logs, CPU: AnyCPU, Env: []string{"MARK=x7"}}, `echo "$MARK in $PWD"; exec sleep 1000`)
	if err := p.Await(t.Context(), p.printed("before\nx7 in "+dir)); err != nil {
		t.Error(err)
	}
}

// TestStopTakesTheGroup has a shell that ignores SIGTERM and a child that holds a
// lock as long as it lives: the write end of a pipe.
func TestStopTakesTheGroup(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	p := shell(t, Command{CPU: AnyCPU, Env: []string{"FIFO=" + fifo}},
		`trap "" TERM; mkfifo "$FIFO"; echo ready; sh -c 'while :; do sleep 1000; done' > "$FIFO"`)
	if err := p.Await(t.Context(), p.printed("ready")); err != nil {
		t.Fatal(err)
	}
	read, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := p.Stop(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("got %v, want that it did not end by itself", err)
	}
	if err := read.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := read.Read(make([]byte, 1)); !strings.Contains(err.Error(), "EOF") {
		t.Errorf("reading what the child holds open: %v, want EOF", err)
	}
}

func TestFrozenProcessStops(t *testing.T) {
	p := shell(t, Command{CPU: AnyCPU}, "echo here; exec sleep 1000")
	p.Freeze(time.Millisecond)
	if err := p.Await(t.Context(), p.printed("here")); err != nil {
		t.Errorf("after Freeze: %v", err)
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
	p.Freeze(0) // nothing happens
}

func TestStartFails(t *testing.T) {
	if _, err := Start(Command{Name: "nothing", Logs: t.TempDir(), CPU: AnyCPU, Argv: []string{"/nonexistent"}}); err == nil {
		t.Error("a program that does not exist was started")
	}
	if _, err := Start(Command{Name: "nothing", Logs: "/nonexistent", CPU: AnyCPU, Argv: []string{"sh"}}); err == nil || !strings.Contains(err.Error(), "opening the log of nothing") {
		t.Errorf("got %v, want that the log cannot be opened", err)
	}
	if _, err := Find("no-such-program", "its-package"); err == nil || !strings.Contains(err.Error(), "apt-get install its-package") {
		t.Errorf("got %v, want what to install", err)
	}
}

func TestFreeAddrIsFree(t *testing.T) {
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

package launch

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"

	"hearth/internal/testkit"
)

// process is an instance in a process of its own.
type process struct{ *testkit.Process }

func (p Program) startProcess(tb testkit.TB, file string, env []string) running {
	tb.Helper()
	if p.Path == "" {
		p.Path = Name
	}
	return process{testkit.Start(tb, testkit.Command{
		Name: Name, Argv: append(slices.Clone(p.Wrapper), p.Path, "-config", file), Dir: p.Dir, Env: env, Files: p.Files, CPUs: p.CPUs,
	})}
}

func (p process) signal(s syscall.Signal) error {
	p.Signal(s)
	return nil
}

func (p process) status() syscall.WaitStatus {
	var err *exec.ExitError
	if !errors.As(p.Err(), &err) {
		return 0
	}
	return err.Sys().(syscall.WaitStatus)
}

// Inside runs the program in this process and returns its exit status. Package inside
// sets it; where that is not linked, neither is the program.
var Inside func(Inner) int

// Inner is what the program gets in place of a process's own.
type Inner struct {
	Args, Env []string
	Output    io.Writer
	Notify    func(c chan<- os.Signal, signals ...os.Signal)
}

// here is an instance in this process.
type here struct {
	done chan struct{}
	code int // after done

	mu      sync.Mutex
	signals map[os.Signal]chan<- os.Signal
}

func (p Program) startHere(tb testkit.TB, file string, env []string, log string) running {
	tb.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	h := &here{done: make(chan struct{}), signals: map[os.Signal]chan<- os.Signal{}}
	// The program asks for signals when its verb has begun.
	ready := make(chan struct{})
	go func() {
		defer close(h.done)
		defer out.Close()
		h.code = Inside(Inner{
			Args: []string{"-config", file}, Env: append(os.Environ(), env...), Output: out,
			Notify: func(c chan<- os.Signal, signals ...os.Signal) {
				h.mu.Lock()
				defer h.mu.Unlock()
				for _, s := range signals {
					h.signals[s] = c
				}
				if h.signals[syscall.SIGTERM] != nil {
					close(ready)
				}
			},
		})
	}()
	select {
	case <-ready:
	case <-h.done:
	}
	return h
}

func (h *here) signal(s syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.signals[s]
	if c == nil {
		return errors.New("an instance in the test's own process does not take " + s.String())
	}
	select {
	case c <- s:
	default: // as the kernel does with a signal that is pending
	}
	return nil
}

// Kill is as near to it as an instance can come here: it ends without waiting for
// server.drain.
func (h *here) Kill() {
	if h.Running() {
		_ = h.signal(syscall.SIGINT)
	}
	<-h.done
}

func (h *here) Done() <-chan struct{} { return h.done }

func (h *here) Running() bool {
	select {
	case <-h.done:
		return false
	default:
		return true
	}
}

func (h *here) status() syscall.WaitStatus { return syscall.WaitStatus(h.code << 8) }

func (h *here) Pid() int { return os.Getpid() }

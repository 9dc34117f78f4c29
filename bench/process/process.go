// Package process starts the servers that a benchmark runs against, waits until
// they answer, and ends them.
//
// A server that outlives its benchmark disturbs the next one. So there is no way to
// start one that is not bound to this program: it is a process group of its own,
// which is signalled as a whole, and the kernel ends it when this program dies
// without cleaning up.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	startWithin = 30 * time.Second
	killWithin  = 15 * time.Second // after SIGKILL, which takes no time but what the kernel needs
	pollEvery   = 2 * time.Millisecond
)

// AnyCPU lets the scheduler choose where a process runs.
const AnyCPU = -1

// Command says what to start.
type Command struct {
	Name  string              // in errors, and of the log: Name.log
	Dir   string              // working directory
	Logs  string              // directory of the log, to whose end the output goes
	CPU   int                 // the only processor that it may use, or AnyCPU
	Env   []string            // beside the variables of this program, which it replaces
	Argv  []string            // program and arguments
	Files []*os.File          // open files that it gets, from descriptor 3 on
	Owner *syscall.Credential // as whom it runs, where we may choose; nil: as this program
	Last  syscall.Signal      // what the kernel sends when this program dies; 0: SIGKILL
}

// Process is a server that Start has started. Its methods may be called at the same
// time, and after it has ended. Whoever started it has to Stop or Kill it.
type Process struct {
	name  string
	pid   int
	log   string        // file with all that it printed
	ended chan struct{} // closed when it has ended and was waited for
}

// Start starts a process and does not wait until it is ready; see Await.
func Start(c Command) (*Process, error) {
	argv := c.Argv
	if c.CPU != AnyCPU {
		// taskset becomes the program, so every thread is pinned from the first.
		argv = append([]string{"taskset", "-c", strconv.Itoa(c.CPU)}, argv...)
	}
	log, err := os.OpenFile(filepath.Join(c.Logs, c.Name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", c.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, log, log
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.ExtraFiles = c.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: c.Last, Credential: c.Owner}
	if c.Last == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	p := &Process{name: c.Name, log: log.Name(), ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.ended)
		// The kernel sends the death signal when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // servers end by our signal; what they said is in the log
		}
	}()
	if err := <-started; err != nil {
		<-p.ended
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}

// PID is the process's number; it may be another's once the process has ended.
func (p *Process) PID() int { return p.pid }

// FinalError is an answer that waiting will not mend.
type FinalError struct{ Err error }

func (e FinalError) Error() string { return e.Err.Error() }

func (e FinalError) Unwrap() error { return e.Err }

// Await polls ready until it returns nil or a FinalError, for 30 seconds at most.
// The error for a process that ends meanwhile, or is never ready, has the end of
// its log. The process is left running.
func (p *Process) Await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		err := ready()
		var final FinalError
		if err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("waiting for %s: it ended; its log:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s in vain: %w; its log:\n%s", p.name, err, p.tail())
		}
	}
}

// Freeze stops the process for d: connections stay open, nothing is answered.
func (p *Process) Freeze(d time.Duration) {
	p.signal(syscall.SIGSTOP)
	time.Sleep(d)
	p.signal(syscall.SIGCONT)
}

// Stop asks the process to end, and kills it when it has not within so long; that
// is an error, and so is a process that had ended before.
func (p *Process) Stop(within time.Duration) error { return p.end(syscall.SIGTERM, within) }

// end is Stop with the signal by which this process is asked to end.
func (p *Process) end(s syscall.Signal, within time.Duration) error {
	if p.hasEnded() {
		return fmt.Errorf("stopping %s: it had ended before; its log:\n%s", p.name, p.tail())
	}
	p.signal(syscall.SIGCONT) // a frozen one would not notice
	p.signal(s)
	select {
	case <-p.ended:
		return nil
	case <-time.After(within):
		return errors.Join(fmt.Errorf("stopping %s: still running after %v", p.name, within), p.Kill())
	}
}

// Kill ends the process as a power cut would, and waits until it is gone. One that
// has ended is left in peace.
func (p *Process) Kill() error {
	p.signal(syscall.SIGKILL)
	select {
	case <-p.ended:
		return nil
	case <-time.After(killWithin):
		return fmt.Errorf("killing %s: still there after %v", p.name, killWithin)
	}
}

// signal sends to the whole group: servers may have workers.
func (p *Process) signal(s syscall.Signal) {
	if !p.hasEnded() {
		_ = syscall.Kill(-p.pid, s) // one that ends just now needs none
	}
}

func (p *Process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// tail is the end of what the process has printed.
func (p *Process) tail() string {
	const most = 4 << 10
	all, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(all[max(0, len(all)-most):])
}

package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program started for a test. It leads a process group of its own,
// so what it forks ends with it, and it gets a signal from the kernel when the
// test binary dies without cleaning up. Its methods are safe for concurrent use.
type Process struct {
	tb   TB
	name string
	log  string // file with its standard output and error
	pid  int
	done chan struct{} // closed when it has ended and was reaped
	err  error         // how it ended; read after done

	mu     sync.Mutex // held to reap and to signal: a reaped number may be another's
	reaped bool
}

// Command says how to start a program.
type Command struct {
	Name        string              // for messages, and of the log: Name.out
	Argv        []string            // program and arguments
	Dir         string              // working directory and place of the log
	Env         []string            // added to this program's own environment
	Files       []*os.File          // open files that it gets, from descriptor 3 on
	CPUs        []int               // the only processors that it may use; nil: any
	Credential  *syscall.Credential // nil: whoever runs this program
	DeathSignal syscall.Signal      // sent when this program dies; 0: SIGKILL
}

// Start starts a program, makes its end part of the clean-up, and does not wait until
// it is ready; see AwaitReady. There is no way to start one that is not bound to this
// program: a server that outlives its test disturbs the next one.
func Start(tb TB, c Command) *Process {
	tb.Helper()
	logPath := filepath.Join(c.Dir, c.Name+".out")
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatalf("opening the log of %s: %v", c.Name, err)
	}
	defer out.Close()
	if c.DeathSignal == 0 {
		c.DeathSignal = syscall.SIGKILL
	}
	argv := Pinned(c.CPUs, c.Argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = c.Dir, out, out, c.Files
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  c.DeathSignal,
		Credential: c.Credential,
	}
	p := &Process{tb: tb, name: c.Name, log: logPath, done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		tb.Fatalf("starting %s: %v", c.Name, err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last lines of %s:\n%s", p.name, p.Logs())
		}
		p.Kill()
	})
	return p
}

// Pinned is a command line that lets a program use these processors only; none means
// any. taskset becomes the program, so every thread is pinned from the first.
func Pinned(cpus []int, argv ...string) []string {
	if len(cpus) == 0 {
		return argv
	}
	var list []string
	for _, cpu := range cpus {
		list = append(list, strconv.Itoa(cpu))
	}
	return append([]string{"taskset", "-c", strings.Join(list, ",")}, argv...)
}

// run starts and reaps the process. The kernel sends the death signal when the
// *thread* that forked ends, so this goroutine keeps its thread until then.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		p.reaped = true
		close(p.done)
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	// Wait without reaping: as long as the leader is a zombie nobody else can
	// get its group's number, so what it left behind can be ended safely.
	for unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.mu.Lock()
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	p.err = cmd.Wait()
	p.reaped = true
	p.mu.Unlock()
	close(p.done)
}

// Pid is the number of the process, also after its end.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process has ended, as exec.Cmd.Wait tells it, once it has.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Running reports whether the process has not ended yet. A paused one runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Paused reports whether the process stands still by Pause.
func (p *Process) Paused() bool { return p.Running() && state(p.pid) == 'T' }

// Latest is the process of a server that is started again now and then: those beside its
// owner's goroutine may look at it while the owner starts the next.
type Latest struct{ process atomic.Pointer[Process] }

// Is notes what was started.
func (l *Latest) Is(p *Process) *Process {
	l.process.Store(p)
	return p
}

// Running reports whether the latest process has not ended yet. A paused one runs.
func (l *Latest) Running() bool {
	p := l.process.Load()
	return p != nil && p.Running()
}

// Paused reports whether the latest process stands still by Pause.
func (l *Latest) Paused() bool {
	p := l.process.Load()
	return p != nil && p.Paused()
}

// Signal sends sig to the process itself, not to what it forked. One that has
// ended is left alone.
func (p *Process) Signal(sig syscall.Signal) { p.kill(p.pid, sig) }

// kill signals the process (its number) or its group (the number negated).
func (p *Process) kill(target int, sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(target, sig)
	}
}

// Stop asks the process to end and waits for it. One that does not end in time
// is killed, and that fails the test. One that has ended already is left in peace.
func (p *Process) Stop() {
	p.tb.Helper()
	p.Signal(syscall.SIGTERM)
	p.Signal(syscall.SIGCONT)
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		p.Kill()
		p.tb.Errorf("stopping %s: still running after %v", p.name, stopWithin)
	}
}

// Kill ends the process and all it forked at once, as a power cut would, and
// waits until they are gone. It may be called when it has ended already.
func (p *Process) Kill() {
	p.kill(-p.pid, syscall.SIGKILL)
	<-p.done
}

// Pause freezes the process: the kernel still accepts connections and bytes for
// it, but nothing is answered. It returns when the process stands still.
func (p *Process) Pause() {
	p.tb.Helper()
	p.Signal(syscall.SIGSTOP)
	if !poll(stopWithin, func() bool { return !p.Running() || state(p.pid) == 'T' }) {
		p.tb.Errorf("pausing %s: its state is still %q", p.name, state(p.pid))
	}
}

// Resume lets a paused process go on.
func (p *Process) Resume() { p.Signal(syscall.SIGCONT) }

// children returns the numbers of what the process has forked and not reaped. They
// stay valid while the process stands still.
func (p *Process) children() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	return childrenOf(p.pid)
}

// Logs returns the last few kilobytes of what the process has printed.
func (p *Process) Logs() string {
	const tail = 4 << 10
	all, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(all) > tail {
		all = append([]byte("…"), all[len(all)-tail:]...)
	}
	return string(all)
}

// AwaitReady polls ready until it is true; a process that ends before that, or
// takes too long, ends the test with its log.
func (p *Process) AwaitReady(ready func() bool) {
	p.tb.Helper()
	ctx := p.tb.Context()
	ok := poll(startWithin, func() bool { return !p.Running() || ctx.Err() != nil || ready() })
	switch {
	case !p.Running():
		p.tb.Fatalf("starting %s: it ended (%v); its log:\n%s", p.name, p.err, p.Logs())
	case ctx.Err() != nil:
		p.tb.Fatalf("starting %s: %v", p.name, context.Cause(ctx))
	case !ok:
		p.tb.Fatalf("starting %s: not ready after %v; its log:\n%s", p.name, startWithin, p.Logs())
	}
}

// TempDir makes a directory with a short name, since the path of a unix socket
// must fit into 107 bytes and testing's own directories carry the test's name.
// It is removed after everything that was started in it has ended.
func TempDir(tb TB, name string) string {
	tb.Helper()
	return tempDir(tb, "", name)
}

func tempDir(tb TB, in, name string) string {
	tb.Helper()
	dir, err := os.MkdirTemp(in, "hearth-"+name+"-")
	if err != nil {
		tb.Fatalf("making a directory for %s: %v", name, err)
	}
	tb.Cleanup(func() {
		// What a killed program leaves behind may still write for a moment.
		var err error
		if !poll(stopWithin, func() bool { err = os.RemoveAll(dir); return err == nil }) {
			tb.Errorf("removing the directory of %s: %v", name, err)
		}
	})
	return dir
}

// writeFile writes a configuration file for a server.
func writeFile(tb TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatalf("writing %s: %v", filepath.Base(path), err)
	}
}

// hostPort joins the loopback address and a port.
func hostPort(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

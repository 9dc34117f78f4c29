package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program started for a test. It leads a process group of its own,
// so what it forks ends with it, and it gets a signal from the kernel when the
// test binary dies without cleaning up. Its methods are safe for concurrent use.
type Process struct {
	tb   testing.TB
	name string
	log  string // file with its standard output and error
	pid  int
	done chan struct{} // closed when it has ended and was reaped
	err  error         // how it ended; read after done

	mu     sync.Mutex // held to reap and to signal: a reaped number may be another's
	reaped bool
}

// command says how to start a program.
type command struct {
	name        string // for messages
	path        string
	args        []string
	dir         string              // working directory and place of the log
	env         []string            // added to the test's own environment
	credential  *syscall.Credential // nil: the user who runs the test
	deathSignal syscall.Signal      // sent when the test binary dies; 0: SIGKILL
}

// startProcess starts c and makes its end part of the test's clean-up.
func startProcess(tb testing.TB, c command) *Process {
	tb.Helper()
	logPath := filepath.Join(c.dir, c.name+".out")
	out, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatalf("opening the log of %s: %v", c.name, err)
	}
	defer out.Close()
	if c.deathSignal == 0 {
		c.deathSignal = syscall.SIGKILL
	}
	cmd := exec.Command(c.path, c.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, out, out
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  c.deathSignal,
		Credential: c.credential,
	}
	p := &Process{tb: tb, name: c.name, log: logPath, done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		tb.Fatalf("starting %s: %v", c.name, err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last lines of %s:\n%s", p.name, p.Logs())
		}
		p.Kill()
	})
	return p
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

// Running reports whether the process has not ended yet. A paused one runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
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
// is killed, and that fails the test.
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
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid))
	var pids []int
	for field := range strings.FieldsSeq(string(list)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// state is the letter that the kernel gives a process: 'T' is stopped, 'Z' ended
// but not reaped, 0 gone.
func state(pid int) byte {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name in brackets may hold anything, thus the last bracket counts.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	if len(rest) < 2 {
		return 0
	}
	return rest[1]
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

// awaitReady polls ready until it is true; a process that ends before that, or
// takes too long, ends the test with its log.
func (p *Process) awaitReady(ready func() bool) {
	p.tb.Helper()
	ok := poll(startWithin, func() bool { return !p.Running() || ready() })
	switch {
	case !p.Running():
		p.tb.Fatalf("starting %s: it ended (%v); its log:\n%s", p.name, p.err, p.Logs())
	case !ok:
		p.tb.Fatalf("starting %s: not ready after %v; its log:\n%s", p.name, startWithin, p.Logs())
	}
}

// tempDir makes a directory with a short name, since the path of a unix socket
// must fit into 107 bytes and testing's own directories carry the test's name.
// It is removed after everything that was started in it has ended.
func tempDir(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "hearth-"+name+"-")
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
func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatalf("writing %s: %v", filepath.Base(path), err)
	}
}

// hostPort joins the loopback address and a port.
func hostPort(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

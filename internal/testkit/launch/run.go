package launch

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"hearth/internal/command"
)

// process is an instance in a process of its own.
type process struct {
	cmd  *exec.Cmd
	done <-chan struct{}
}

func (p Program) startProcess(file string, env []string, log *os.File) (running, error) {
	defer log.Close()
	if p.Path == "" {
		p.Path = Name
	}
	args := append(append([]string(nil), p.Wrapper...), p.Path, "-config", file)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = p.Dir, env, log, log, p.Files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	done, err := StartCommand(cmd)
	return process{cmd, done}, err
}

// StartCommand starts a command that ends with the test binary at the latest, and
// returns what is closed when it has ended and was waited for.
func StartCommand(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done, started := make(chan struct{}), make(chan error)
	go func() {
		// The kernel sends the death signal when the thread that forked ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
		}
	}()
	return done, <-started
}

func (p process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// kill ends the program's process group, thus also what a wrapper has left.
func (p process) kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func (p process) ended() <-chan struct{} { return p.done }

func (p process) status() syscall.WaitStatus {
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func (p process) pid() int { return p.cmd.Process.Pid }

// here is an instance in this process.
type here struct {
	done chan struct{}
	code int // after done

	mu      sync.Mutex
	signals map[os.Signal]chan<- os.Signal
}

func (p Program) startHere(file string, env []string, log *os.File) running {
	h := &here{done: make(chan struct{}), signals: map[os.Signal]chan<- os.Signal{}}
	// The program asks for signals when its verb has begun.
	ready := make(chan struct{})
	go func() {
		defer close(h.done)
		defer log.Close()
		h.code = command.Run(command.Process{
			Version: "devel", Args: []string{"-config", file}, Env: env, Stdout: log, Stderr: log,
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

// kill is as near to it as an instance can come here: it ends without waiting for
// server.drain.
func (h *here) kill() {
	select {
	case <-h.done:
	default:
		_ = h.signal(syscall.SIGINT)
	}
}

func (h *here) ended() <-chan struct{} { return h.done }

func (h *here) status() syscall.WaitStatus { return syscall.WaitStatus(h.code << 8) }

func (h *here) pid() int { return os.Getpid() }

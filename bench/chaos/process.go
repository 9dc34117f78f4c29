package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a program of this run. The kernel kills it when this program dies
// without cleaning up.
type process struct {
	name string
	addr string // host:port where it is served
	log  string // file with its output
	proc *os.Process
	done chan struct{} // closed when it has ended
}

// startWithin is how long a program may take to answer, stopWithin to end.
const startWithin, stopWithin = 30 * time.Second, 15 * time.Second

// start starts p in dir and waits until it listens.
func (p *process) start(dir, path string, args ...string) error {
	p.log = filepath.Join(dir, p.name+".log")
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The death signal comes when the thread ends that forked.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.proc, p.done = cmd.Process, done
	for end := time.Now().Add(startWithin); time.Now().Before(end); {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("starting %s: it ended; its log:\n%s", p.name, p.tail())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("starting %s: nothing listens on %s; its log:\n%s", p.name, p.addr, p.tail())
}

func (p *process) signal(sig syscall.Signal) {
	if p.proc != nil {
		_ = p.proc.Signal(sig) // one that has ended needs none
	}
}

// freeze stops the process for d: connections stay open, nothing is answered.
func (p *process) freeze(d time.Duration) {
	p.signal(syscall.SIGSTOP)
	time.Sleep(d)
	p.signal(syscall.SIGCONT)
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	if p.proc == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	if p.proc == nil {
		return nil
	}
	select {
	case <-p.done:
		return fmt.Errorf("%s had ended before; its log:\n%s", p.name, p.tail())
	default:
	}
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(stopWithin):
		p.kill()
		return fmt.Errorf("stopping %s: still running after %v", p.name, stopWithin)
	}
}

// tail is the end of what the process has printed.
func (p *process) tail() string {
	const most = 4 << 10
	all, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(all[max(0, len(all)-most):])
}

// freeAddr returns an address of loopback where nothing listens. It lies below
// the range of outgoing connections: who keeps dialling a stopped server's port
// from within that range connects to itself one day.
func freeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("looking for a free port: none found")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startWithin = 30 * time.Second
	stopWithin  = 10 * time.Second
	pollEvery   = 10 * time.Millisecond
	tick        = 10 * time.Millisecond // the unit of /proc/PID/stat; USER_HZ is 100 on all of Linux
)

// process is a server that the runner started: the only kind it ends. It is a
// process group of its own and dies with the runner.
type process struct {
	name  string
	pid   int
	log   string // file with all that it printed
	ended chan struct{}
}

// command says what to start. cpu is the only processor it may use, -1 any.
type command struct {
	name string
	dir  string // working directory
	logs string // directory of the log
	cpu  int
	env  []string
	argv []string
}

func start(c command) (*process, error) {
	argv := c.argv
	if c.cpu >= 0 {
		// taskset becomes the program, so every thread is pinned from the first.
		argv = append([]string{"taskset", "-c", strconv.Itoa(c.cpu)}, argv...)
	}
	log, err := os.Create(filepath.Join(c.logs, c.name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.Env = append(os.Environ(), c.env...)
	// SIGTERM and not SIGKILL: a killed nginx would leave its worker behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p := &process{name: c.name, log: log.Name(), ended: make(chan struct{})}
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
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	return p, nil
}

// stop ends the process and waits until it is gone.
func (p *process) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-p.ended:
			return
		default:
			_ = syscall.Kill(-p.pid, signal)
		}
		select {
		case <-p.ended:
			return
		case <-time.After(stopWithin):
		}
	}
}

// wrongError is an answer that waiting will not mend.
type wrongError struct{ error }

// await polls ready until it returns nil or a wrongError.
func (p *process) await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	again := time.NewTicker(pollEvery)
	defer again.Stop()
	for {
		err := ready()
		var wrong wrongError
		if err == nil || errors.As(err, &wrong) {
			return err
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("waiting for %s: it ended; its log: %s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s in vain: %w; its log: %s", p.name, err, p.tail())
		}
	}
}

func (p *process) tail() string {
	const most = 2 << 10
	all, _ := os.ReadFile(p.log)
	return string(all[max(0, len(all)-most):])
}

// cpuTime is the time, user and system, that the process and those it forked
// have used so far, all threads together.
func (p *process) cpuTime() (time.Duration, error) { return cpuTime(p.pid) }

func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	// The name in brackets may hold anything; user time is the 12th field after it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the processor time: %q is no line of stat", stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("reading the processor time: %w", err)
	}
	sum := time.Duration(user+system) * tick
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(list)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				continue
			}
			more, err := cpuTime(n)
			if err != nil {
				return 0, err
			}
			sum += more
		}
	}
	return sum, nil
}

// freePort picks a port of 127.0.0.1 from below the range from which the kernel
// takes the local ends of connections, so that none of those takes it away.
func freePort() (int, error) {
	const first, span, tries = 20000, 12000, 200
	for range tries {
		port := first + rand.IntN(span)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("looking for a free port between %d and %d: none of %d was", first, first+span, tries)
}

// find returns the path of a program, or an error that names its Debian package.
func find(name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("looking for %q: not installed; run scripts/install-test-servers bench, or apt-get install %s", name, debian)
}

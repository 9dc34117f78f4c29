package testkit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// TB is what owns the servers that this package starts: a test or a benchmark (every
// testing.TB is one), or a command, by Run. What is started ends with its owner, and
// what fails ends the owner's work.
type TB interface {
	Helper()
	Context() context.Context // ends before what Cleanup was given is called
	Cleanup(f func())
	Failed() bool
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Program is a command that starts servers: a proof or a benchmark. What Run returns is
// what it has found wrong; what a server has failed of comes with the server's log.
type Program struct {
	Name string
	Run  func(tb TB, args []string, stdout, stderr io.Writer) error
}

// ErrUsage is a command line that the flags have complained of already.
var ErrUsage = errors.New("reading the command line")

// Main runs the program and ends this process with its exit status. The first
// interrupt ends its context.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(p.Status(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Status runs the program and returns its exit status: 0 also when help was asked for,
// 2 for ErrUsage, and 1 for what else has failed, which is then told.
func (p Program) Status(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var found error
	err := Run(ctx, func(tb TB) { found = p.Run(tb, args, stdout, stderr) })
	switch err = errors.Join(found, err); {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	}
	fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
	return 1
}

// Run calls f with an owner, as package testing calls a test, and returns what it has
// failed of. The owner's Fatal and Fatalf end f, so they may only be called from the
// goroutine on which f runs.
func Run(ctx context.Context, f func(tb TB)) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &owner{ctx: ctx}
	r.call(func() {
		defer r.end()
		defer cancel()
		f(r)
	})
	return r.result()
}

// Try calls f and returns what it has failed of, for those who know what to do then:
// to try again, or to go on without. What f starts ends with tb, and what fails of it
// after f has ended fails tb.
func Try(tb TB, f func(tb TB)) error {
	r := &owner{ctx: tb.Context(), parent: tb}
	r.call(func() { f(r) })
	return r.result()
}

// Meanwhile runs f beside tb's own goroutine until the function that it returns is
// called, which ends f's context, waits for f, and ends tb with its error. What is not
// waited for by then is waited for at the end of tb.
func Meanwhile(tb TB, f func(ctx context.Context) error) (end func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = f(ctx) })
	wait := func() {
		cancel()
		running.Wait()
	}
	tb.Cleanup(wait)
	return func() {
		tb.Helper()
		if wait(); err != nil {
			tb.Fatal(err)
		}
	}
}

// owner is the TB of one Run, or of one Try and then with a parent.
//
// What it owns runs on a goroutine of its own, for Fatal ends a goroutine by Goexit and
// must end no other. A Run then ends its context, so that what runs beside it stops, and
// calls what Cleanup was given, the latest first, for what was started last may need what
// was started before. A Try leaves all that to its parent.
type owner struct {
	ctx    context.Context
	parent TB

	mu       sync.Mutex
	over     bool // the result was taken: whatever fails later, fails the parent
	failures []error
	logs     []error
	cleanups []func()
}

// call runs f to its end, or until it calls Goexit, which ends a goroutine.
func (r *owner) call(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// end calls what Cleanup was given, the latest first, whatever becomes of one of them.
func (r *owner) end() {
	r.mu.Lock()
	n := len(r.cleanups)
	if n == 0 {
		r.mu.Unlock()
		return
	}
	latest := r.cleanups[n-1]
	r.cleanups = r.cleanups[:n-1]
	r.mu.Unlock()
	defer r.end()
	latest()
}

// result is what has failed, with what was logged meanwhile.
func (r *owner) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if len(r.failures) == 0 {
		return nil
	}
	return errors.Join(append(r.failures, r.logs...)...)
}

func (r *owner) Helper() {}

func (r *owner) Context() context.Context { return r.ctx }

func (r *owner) Cleanup(f func()) {
	if r.parent != nil {
		r.parent.Cleanup(f)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *owner) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *owner) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, fmt.Errorf(format, args...))
}

func (r *owner) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over && r.parent != nil {
		r.parent.Errorf(format, args...)
		return
	}
	r.failures = append(r.failures, fmt.Errorf(format, args...))
}

func (r *owner) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *owner) Fatal(args ...any) {
	if len(args) == 1 {
		if err, ok := args[0].(error); ok {
			r.Fatalf("%w", err)
		}
	}
	r.Fatalf("%s", fmt.Sprint(args...))
}

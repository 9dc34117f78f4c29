package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// weight is the resident memory of one server, in bytes.
type weight struct {
	Server   string
	Bare     int64 // with no connection
	Idle     int64 // with idle keep-alive connections, each of which has been answered once
	InFlight int64 // with one request held on each of them
}

// weigh measures the memory of both servers, and checks the numbers that Hearth answers
// to requests which all come at once.
func (s *stage) weigh(ctx context.Context, stdout io.Writer) (all []weight, err error) {
	for _, srv := range s.servers {
		w, err := s.weighOne(ctx, srv)
		if err != nil {
			return nil, fmt.Errorf("weighing %s: %w", srv.name, err)
		}
		fmt.Fprintf(stdout, "memory   %-6s %d MB, with %d idle connections %d MB, with as many requests in flight %d MB\n",
			srv.name, w.Bare>>20, s.connections, w.Idle>>20, w.InFlight>>20)
		all = append(all, w)
	}
	return all, nil
}

func (s *stage) weighOne(ctx context.Context, srv *server) (w weight, err error) {
	w.Server = srv.name
	pid := srv.proc.PID()
	if w.Bare, err = resident(pid); err != nil {
		return w, err
	}
	before, err := srv.begun(ctx)
	if err != nil {
		return w, err
	}
	all, err := gather(srv.addr, s.connections)
	defer all.close()
	if err != nil {
		return w, err
	}
	numbers, err := all.ask(workPath)
	if err != nil {
		return w, err
	}
	if srv.answered != nil {
		if err := plausible(numbers, before); err != nil {
			return w, err
		}
	}
	after, err := srv.begun(ctx)
	if err != nil {
		return w, err
	}
	if n := after - before; n != int64(s.connections) {
		return w, fmt.Errorf("%d requests were counted as %d", s.connections, n)
	}
	if !pause(ctx, 2*settle) {
		return w, context.Cause(ctx)
	}
	if w.Idle, err = resident(pid); err != nil {
		return w, err
	}
	w.InFlight, err = s.weighInFlight(ctx, srv, all)
	return w, err
}

// weighInFlight reads the memory when all requests have come and none is answered.
func (s *stage) weighInFlight(ctx context.Context, srv *server, all crowd) (int64, error) {
	before, err := srv.held(ctx)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	answers := make(chan error, 1)
	go func() {
		_, err := all.ask(heldPath)
		answers <- err
	}()
	var memory int64
	for {
		n, err := srv.held(ctx)
		if err != nil || !pause(ctx, pollEvery) {
			return 0, errors.Join(err, context.Cause(ctx), <-answers)
		}
		if n-before < int64(s.connections) && time.Since(begun) < s.held {
			continue
		}
		memory, err = resident(srv.proc.PID())
		late := time.Since(begun) >= s.held
		if err = errors.Join(err, <-answers); err == nil && late {
			err = fmt.Errorf("only %d of %d requests were in flight within %v", n-before, s.connections, s.held)
		}
		return memory, err
	}
}

// plausible checks what a counter answers to requests that come at once after it has
// counted up to before: nobody is told of more than have come, nobody of none, and
// whoever was counted last reads a count with all of them.
func plausible(numbers []int64, before int64) error {
	all := before + int64(len(numbers))
	most := int64(0)
	for _, n := range numbers {
		if n <= before || n > all {
			return fmt.Errorf("%d requests after number %d: one was answered that there are %d", len(numbers), before, n)
		}
		most = max(most, n)
	}
	if most != all {
		return fmt.Errorf("%d requests after number %d: the highest answer is %d", len(numbers), before, most)
	}
	return nil
}

// resident is the resident memory of a process, in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the resident memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("reading the resident memory: no VmRSS in %q", text)
}

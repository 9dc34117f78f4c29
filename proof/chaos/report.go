package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// report counts what a run did.
type report struct {
	began  time.Time
	writes atomic.Int64
	rounds atomic.Int64 // in which every kind of fault has happened

	mu     sync.Mutex
	faults map[string]int
}

func (r *report) fault(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name]++
}

func (r *report) print(out io.Writer, b *book) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	took := time.Since(r.began)
	reads, total := b.reads.Load(), 0
	for _, n := range r.faults {
		total += n
	}
	fmt.Fprintf(out, "reads       %d in %v (%.0f/s): %d marked stale or untracked, %d refused with 5xx\n",
		reads, took.Round(time.Second), float64(reads)/took.Seconds(), b.marked.Load(), b.refused.Load())
	fmt.Fprintf(out, "writes      %d acknowledged\n", r.writes.Load())
	fmt.Fprintf(out, "faults      %d\n", total)
	for _, f := range faults {
		fmt.Fprintf(out, "  %-34s %d\n", f.name, r.faults[f.name])
	}
	fmt.Fprintf(out, "behind      unmarked answers older than a write acknowledged before they were asked for, by how long before:\n")
	for i := range b.late {
		bound := "more"
		if i < len(lateness) {
			bound = "to " + lateness[i].String()
		}
		fmt.Fprintf(out, "  %-34s %d\n", bound, b.late[i].Load())
	}
	fmt.Fprintf(out, "worst delay %v (allowed %v)\n", time.Duration(b.worst.Load()).Round(time.Microsecond), time.Duration(b.allowance))
	fmt.Fprintf(out, "violations  %d\n", b.count)
	for _, text := range b.broken {
		fmt.Fprintln(out, " ", text)
	}
}

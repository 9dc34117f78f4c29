package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// reader asks one instance again and again for the rows that were changed last and that
// it has not answered with that change yet, for those that are changed next, so that they
// are in memory by then, and for others.
type reader struct {
	*ledger
	instance int
	addr     string
	path     string                   // before the row's number
	next     func(to []int64) []int64 // rows that are about to be changed
	excused  func() bool              // errors are no wonder now
	pause    time.Duration            // between two rounds
	rand     *rand.Rand
	seen     []int64 // latest version that the instance has answered with, of each row
	ids      []int64
}

// readers is how many connections read each instance: while one waits for a load the other
// goes on.
const readers = 2

// recentRows bounds how many of the latest changes are asked for in one round.
const recentRows = 32

// read has each instance of the fleet read until the function that it returns is called.
func (f *fleet) read(l *ledger, next func(to []int64) []int64) (end func()) {
	return f.readAt(l, "/row/", next, f.ins)
}

// readAt reads a path of some of the instances.
func (f *fleet) readAt(l *ledger, path string, next func(to []int64) []int64, ins []*launch.Instance) (end func()) {
	var ends []func()
	for n := range readers * len(ins) {
		i := slices.Index(f.ins, ins[n%len(ins)])
		r := &reader{
			ledger: l, instance: i, addr: f.ins[i].Public, path: path, next: next, pause: f.look, seen: make([]int64, len(l.rows)),
			rand: rand.New(rand.NewPCG(f.seed, uint64(100+n))), excused: f.excuse(i),
		}
		ends = append(ends, testkit.Meanwhile(f.trial, r.run))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// excuse tells of an instance whether it was away since it was last asked.
func (f *fleet) excuse(i int) func() bool {
	was := f.restarts[i].Load()
	return func() bool {
		now := f.restarts[i].Load()
		away := now != was || now%2 == 1
		was = now
		return away
	}
}

func (r *reader) run(ctx context.Context) error {
	conn := load.NewConn(r.addr, load.AnswerWithin)
	defer conn.Close()
	for ctx.Err() == nil {
		if err := r.round(conn); err != nil {
			conn.Close()
			if !r.excused() {
				return fmt.Errorf("reading from instance %d: %w", r.instance+1, err)
			}
			testkit.Sleep(ctx, 5*time.Millisecond)
			continue
		}
		testkit.Sleep(ctx, r.pause)
	}
	return nil
}

// round asks for some rows, one after the other, so that what is known of an answer's
// time is not blurred by others, and checks the answers.
func (r *reader) round(conn *load.Conn) error {
	r.choose()
	for _, id := range r.ids {
		asked := r.now()
		if err := conn.Do(http.MethodGet, r.path+strconv.FormatInt(id, 10), ""); err != nil {
			return err
		}
		r.reads.Add(1)
		switch {
		case conn.Answer.StatusCode() != http.StatusOK:
			r.failed.Add(1)
		case load.TierOf(conn.Status()) == load.Marked:
			r.marked.Add(1)
		default:
			version := conn.Member(`"v":`)
			r.answered(id, version, asked)
			r.seen[id] = version
		}
	}
	return nil
}

func (r *reader) choose() {
	r.ids = r.changed(r.ids[:0], recentRows)
	r.ids = slices.DeleteFunc(r.ids, func(id int64) bool { return r.version(id) <= r.seen[id] })
	if r.next != nil {
		r.ids = r.next(r.ids)
	}
	for range 2 {
		r.ids = append(r.ids, r.rand.Int64N(int64(len(r.rows))))
	}
}

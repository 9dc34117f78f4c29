package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	putWriters = 8  // each with a connection to every instance
	putReaders = 4  // of each instance
	putPages   = 64 // records; each has one writer, so its versions grow
	putPace    = 2 * time.Millisecond
)

// puts writes records through all instances and reads them from all, and judges every
// answer by what had been acknowledged before it was asked for.
func puts(ctx context.Context, t *trial) (err error) {
	f, err := t.assemble(ctx, normal())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	if err := t.witness.blank(ctx, putPages); err != nil {
		return err
	}
	readers, err := f.gather(putReaders, t.seed)
	if err != nil {
		return err
	}
	defer readers.close()
	p := &putRun{trial: t, book: newBook(putPages, t.late)}
	p.left.Store(int64(t.puts))
	for i := range putWriters {
		w, err := f.gather(1, t.seed+1+uint64(i))
		if err != nil {
			return err
		}
		defer w.close()
		p.writers = append(p.writers, w)
	}
	if err := p.play(ctx, readers); err != nil {
		return err
	}
	p.report(readers.total())
	return nil
}

// putRun is the scenario under way.
type putRun struct {
	*trial
	book    *book
	writers []crowd
	left    atomic.Int64 // PUTs to do
	took    time.Duration
	other   atomic.Int64 // PUTs answered with another record than was sent
}

// play lets everybody loose until all PUTs are done.
func (p *putRun) play(ctx context.Context, readers crowd) error {
	reading, enough := context.WithCancel(ctx)
	defer enough()
	read := make(chan error, 1)
	go func() { read <- readers.each(reading, p.read) }()
	began := time.Now()
	errs := make([]error, len(p.writers))
	var writing sync.WaitGroup
	for i, w := range p.writers {
		writing.Go(func() { errs[i] = p.write(ctx, i, w) })
	}
	writing.Wait()
	p.took = time.Since(began)
	enough()
	return errors.Join(append(errs, <-read)...)
}

// write is one writer: its pages one after the other, each time through any instance.
func (p *putRun) write(ctx context.Context, at int, through crowd) error {
	for n := at; p.left.Add(-1) >= 0; n += putWriters {
		if err := ctx.Err(); err != nil {
			return err
		}
		page := &p.book.pages[n%putPages]
		if page.lost.Load() {
			continue
		}
		c := through[through[0].rand.IntN(len(through))]
		version := page.latest.Load() + 1
		stands, err := c.store(page.path(), version)
		if err != nil {
			return err
		}
		if !stands { // nobody knows whether it does
			page.lost.Store(true)
			continue
		}
		p.book.ack(page, c.instance)
		if number(c.answer.Body(), `"v":`) != version {
			p.other.Add(1)
		}
	}
	return nil
}

// store writes a version and tells whether that was acknowledged.
func (c *client) store(path string, version int64) (bool, error) {
	sent := time.Now()
	if err := c.put(path, `{"v":`+strconv.FormatInt(version, 10)+`}`); err != nil {
		return false, fmt.Errorf("writing %s through instance %d: %w", path, c.instance+1, err)
	}
	return c.answer.StatusCode() == http.StatusOK, c.note(sent)
}

// read is one reader. Every other time it asks for the page that was written last: if
// an older copy of anything is still about, it is there.
func (p *putRun) read(ctx context.Context, c *client) error {
	for pause(ctx, putPace) {
		at := c.rand.IntN(2 * putPages)
		if at >= putPages {
			at = int(p.book.newest.Load())
		}
		page := &p.book.pages[at]
		q := p.book.ask(page, c.instance)
		if err := c.ask(page.path()); err != nil {
			return err
		}
		status := c.answer.Header.Peek("Cache-Status")
		if c.answer.StatusCode() != http.StatusOK || tierOf(status) == marked {
			continue
		}
		version := number(c.answer.Body(), `"v":`)
		if version < 0 {
			return fmt.Errorf("an answer without a version: %q", c.answer.Body())
		}
		p.book.judge(q, version)
	}
	return nil
}

func (p *putRun) report(read *tally) {
	wrote := &tally{}
	for _, w := range p.writers {
		wrote.merge(w.total())
	}
	b := p.book
	p.figure("PUTs", "%d in %v, %.0f/s, to %d records: %d acknowledged, %d refused, %d failed", wrote.times.n, p.took.Round(time.Millisecond),
		float64(wrote.times.n)/p.took.Seconds(), putPages, wrote.found(), wrote.refused, wrote.failed)
	p.times("latency of PUTs", &wrote.times)
	p.figure("reads", "%d, %.0f/s, by %d clients", read.times.n, float64(read.times.n)/p.took.Seconds(), putReaders*instances)
	p.tiers(read)
	p.times("latency of reads", &read.times)
	var late []string
	for i := range b.behind {
		bound := "more"
		if i < len(lateness) {
			bound = "to " + lateness[i].String()
		}
		late = append(late, fmt.Sprintf("%s: %d", bound, b.behind[i].Load()))
	}
	p.figure("behind", "reads answered with an older version than was acknowledged before, by how long before:")
	p.figure("", "%s; longest %v", strings.Join(late, ", "), brief(time.Duration(b.worst.Load())))
	p.bound(wrote.found() == int64(p.puts), "every PUT is acknowledged: %d of %d", wrote.found(), p.puts)
	p.bound(p.other.Load() == 0, "each is answered with the record that was sent: %d are not", p.other.Load())
	p.bound(read.found() == read.times.n, "every read gets 200: %d of %d", read.found(), read.times.n)
	p.bound(b.broken == 0, "never older than what the instance itself has acknowledged: %d answers are", b.broken)
	p.bound(b.late == 0, "never older than what others acknowledged more than %v before: %d answers are", p.late, b.late)
	for _, text := range b.examples {
		p.figure("", "%s", text)
	}
}

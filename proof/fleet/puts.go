package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
	"hearth/proof/history"
)

const (
	putWriters = 8  // each with a connection to every instance
	putReaders = 4  // of each instance
	putPages   = 64 // records; each has one writer, so its versions grow
	putPace    = 2 * time.Millisecond
)

// puts writes records through all instances and reads them from all, and checks every
// answer by what had been acknowledged before it was asked for.
func puts(t *trial) {
	f := t.assemble(normal())
	t.observer.blank(putPages)
	p := &putRun{trial: t, checker: history.NewChecker(t.late, report.NewDelays(time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond))}
	for i := range p.pages {
		p.pages[i] = history.NewRecord(p.path(i)[1:], instances)
	}
	p.left.Store(int64(t.puts))
	readers := t.connect(f, putReaders, t.seed)
	p.through = t.connect(f, putWriters, t.seed+1)
	var writers load.Clients
	for i := 0; i < len(p.through); i += instances {
		writers = append(writers, p.through[i])
	}
	end := readers.Begin(t, p.read)
	began := time.Now()
	writers.Each(t, p.write)
	p.elapsed = time.Since(began)
	end()
	p.report(readers.Total())
}

// putRun is the scenario under way. A page has one writer, so its versions grow and an
// answer can be placed among them by the version that it shows.
type putRun struct {
	*trial
	checker *history.Checker
	pages   [putPages]*history.Record
	newest  atomic.Int64 // the page that was written last
	through load.Clients // a writer and the three after it, one to each instance
	left    atomic.Int64 // PUTs to do
	elapsed time.Duration
	other   atomic.Int64 // PUTs answered with another record than was sent
}

func (p *putRun) path(page int) string { return "/page/" + strconv.Itoa(page+1) }

// write is one writer: its pages one after the other, each time through any instance.
func (p *putRun) write(ctx context.Context, w *load.Client) error {
	for n := w.Number / instances; p.left.Add(-1) >= 0; n += putWriters {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := n % putPages
		page := p.pages[at]
		if page.GivenUp() {
			continue
		}
		c := p.through[w.Number+w.Rand.IntN(instances)]
		version, begun := page.Latest()+1, p.checker.Now()
		if err := c.Put(p.path(at), `{"v":`+strconv.FormatInt(version, 10)+`}`); err != nil {
			return err
		}
		if c.Answer.StatusCode() != http.StatusOK { // nobody knows whether it stands
			page.GiveUp()
			continue
		}
		page.Acknowledge(begun, p.checker.Now(), c.Instance)
		p.newest.Store(int64(at))
		if c.Member(`"v":`) != version {
			p.other.Add(1)
		}
	}
	return nil
}

// read is one reader. Every other time it asks for the page that was written last: if
// an older copy of anything is still about, it is there.
func (p *putRun) read(ctx context.Context, c *load.Client) error {
	for testkit.Sleep(ctx, putPace) {
		at := c.Rand.IntN(2 * putPages)
		if at >= putPages {
			at = int(p.newest.Load())
		}
		q := p.checker.Ask(p.pages[at], c.Instance)
		if err := c.Ask(p.path(at)); err != nil {
			return err
		}
		status := c.Status()
		if c.Answer.StatusCode() != http.StatusOK || load.TierOf(status) == load.Marked {
			continue
		}
		version := c.Member(`"v":`)
		if version < 0 {
			return fmt.Errorf("an answer without a version: %q", c.Answer.Body())
		}
		p.checker.Check(q, version, string(status))
	}
	return nil
}

func (p *putRun) report(read *load.Counts) {
	wrote := p.through.Total()
	p.Figure("PUTs", "%d in %v, %.0f/s, to %d records: %d acknowledged, %d refused, %d failed", wrote.Times.N, p.elapsed.Round(time.Millisecond),
		float64(wrote.Times.N)/p.elapsed.Seconds(), putPages, wrote.Found(), wrote.Refused.N, wrote.Failed)
	p.Times("latency of PUTs", &wrote.Times)
	p.Figure("reads", "%d, %.0f/s, by %d clients", read.Times.N, float64(read.Times.N)/p.elapsed.Seconds(), putReaders*instances)
	p.answers(read)
	p.Times("latency of reads", &read.Times)
	behind, broken := p.checker.Behind, p.checker.Violations()
	p.Figure("behind", "reads answered with an older version than was acknowledged before, by how long before:")
	p.Figure("", "%s; longest %v", behind.Text("%s: %d", ", "), report.Brief(behind.Worst()))
	p.Bound(wrote.Found() == int64(p.puts), "every PUT is acknowledged: %d of %d", wrote.Found(), p.puts)
	p.Bound(p.other.Load() == 0, "each is answered with the record that was sent: %d are not", p.other.Load())
	p.Bound(read.Found() == read.Times.N, "every read gets 200: %d of %d", read.Found(), read.Times.N)
	p.Bound(broken.Own == 0, "never older than what the instance itself has acknowledged: %d answers are", broken.Own)
	p.Bound(broken.Late == 0, "never older than what others acknowledged more than %v before: %d answers are", p.late, broken.Late)
	for _, text := range broken.Examples {
		p.Figure("", "%s", text)
	}
}

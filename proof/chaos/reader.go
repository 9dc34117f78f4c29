package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/proof/history"
)

// reader asks one instance, depth requests at a time, as fast as it answers.
type reader struct {
	*harness
	instance int
	conn     *link
	rand     *rand.Rand
	asked    []asked
}

// asked is one request under way.
type asked struct {
	record   *record
	question history.Question
}

func newReader(r *harness, instance int, rand *rand.Rand) *reader {
	return &reader{harness: r, instance: instance, conn: r.connect(instance), rand: rand}
}

func (r *reader) run(ctx context.Context) error {
	defer r.conn.Close()
	for ctx.Err() == nil {
		r.ask()
		if len(r.asked) == 0 {
			if !testkit.Sleep(ctx, time.Millisecond) {
				return nil
			}
			continue
		}
		r.conn.begin()
		if err := r.exchange(); err != nil {
			if !r.conn.excused() {
				return err
			}
			testkit.Sleep(ctx, time.Millisecond)
		}
	}
	return nil
}

// exchange sends what is queued, and checks the answers.
func (r *reader) exchange() error {
	if err := r.conn.Flush(); err != nil {
		return fmt.Errorf("asking instance %d: %w", r.instance+1, err)
	}
	for _, a := range r.asked {
		if err := r.conn.Next(); err != nil {
			return fmt.Errorf("reading from instance %d: %w", r.instance+1, err)
		}
		if err := r.check(a); err != nil {
			return err
		}
	}
	return nil
}

// ask queues requests for random records.
func (r *reader) ask() {
	r.asked = r.asked[:0]
	for range r.depth {
		slots := r.records.slots[r.rand.IntN(resources)]
		rec := slots[choose(r.rand, len(slots))].Load()
		if rec == nil {
			continue
		}
		r.asked = append(r.asked, asked{rec, r.records.checker.Ask(rec.Record, r.instance)})
		r.conn.Queue(http.MethodGet, "/"+resourceNames[rec.resource]+"/"+strconv.FormatInt(rec.id, 10), "")
	}
}

func (r *reader) check(a asked) error {
	r.records.reads.Add(1)
	version := int64(0)
	switch code := r.conn.Answer.StatusCode(); code {
	case http.StatusOK:
		if version = r.conn.Member(`"v":`); version < 1 {
			return fmt.Errorf("an answer without a version: %q", r.conn.Answer.Body())
		}
	case http.StatusNotFound:
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.records.refused.Add(1)
		return nil
	default:
		return fmt.Errorf("instance %d answers %d: %q", r.instance+1, code, r.conn.Answer.Body())
	}
	status := r.conn.Status()
	if load.TierOf(status) == load.Marked {
		r.records.marked.Add(1)
		return nil
	}
	r.records.check(a.record, a.question, version, string(status))
	return nil
}

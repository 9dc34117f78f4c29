package main

import (
	"bytes"
	"context"
	"errors"
	"time"
)

const (
	manyAtOnce = 100 // ids of one request
	manyQuery  = 50 * time.Millisecond
)

// manyRead asks for many cold records at once: alone, and beside another instance
// that is asked for half of them at the same moment.
func manyRead(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Query = manyQuery
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(1, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	if err := t.manyAlone(ctx, all[0]); err != nil {
		return err
	}
	if err := t.manyBeside(ctx, all[:2]); err != nil { // these two ask different instances
		return err
	}
	sum := all.total()
	t.times("latency", &sum.times)
	t.bound(sum.found() == sum.times.n, "every request gets 200: %d of %d", sum.found(), sum.times.n)
	return nil
}

func (t *trial) manyAlone(ctx context.Context, c *client) error {
	if err := c.ask(manyPath(1, manyAtOnce)); err != nil {
		return err
	}
	a, err := t.witness.account(ctx)
	if err != nil {
		return err
	}
	t.figure("one request", "%d cold ids: %d queries, %d records; the query takes %v", manyAtOnce, a.begun, c.records(), manyQuery)
	t.bound(a.begun == 1, "exactly 1 query for %d cold ids: %d", manyAtOnce, a.begun)
	t.bound(c.records() == manyAtOnce, "every record is answered: %d of %d", c.records(), manyAtOnce)
	return nil
}

// records is how many the latest answer has.
func (c *client) records() int { return bytes.Count(c.answer.Body(), []byte(`"stamp":`)) }

func (t *trial) manyBeside(ctx context.Context, pair crowd) error {
	var worst, twice int64 // queries of one round, and for one id
	var example []string   // the queries of the first round with too many
	lacking := 0
	for round := range t.rounds {
		if err := t.witness.reset(ctx, manyQuery); err != nil {
			return err
		}
		from := 1 + manyAtOnce + 2*manyAtOnce*round
		_, err := pair.together(ctx, func(c *client) string { return manyPath(from+c.number*manyAtOnce/2, manyAtOnce) })
		if err != nil {
			return err
		}
		for _, c := range pair {
			lacking += manyAtOnce - c.records()
		}
		a, err := t.witness.account(ctx)
		if err != nil {
			return err
		}
		worst, twice = max(worst, a.begun), max(twice, a.most)
		if len(example) == 0 && (a.begun > 2 || a.most > 1) {
			if example, err = t.witness.queries(ctx); err != nil {
				return err
			}
		}
	}
	t.figure("two instances", "%d times for %d ids each, half of them the same: at most %d queries, at most %d for any one id",
		t.rounds, manyAtOnce, worst, twice)
	for _, text := range example {
		t.figure("a round with too many", "%s", text)
	}
	t.bound(worst <= 2, "at most 2 queries for overlapping lists: %d", worst)
	t.bound(twice <= 1, "never 2 loads of one id: %d", twice)
	t.bound(lacking == 0, "every record is answered: %d are not", lacking)
	return nil
}

package main

import (
	"bytes"
	"strconv"
	"time"

	"hearth/bench/load"
)

const (
	manyAtOnce = 100 // ids of one request
	manyQuery  = 50 * time.Millisecond
)

// manyRead asks for many cold records at once: alone, and beside another instance
// that is asked for half of them at the same moment.
func manyRead(t *trial) {
	s := normal()
	s.Query = manyQuery
	f := t.assemble(s)
	all := t.connect(f, 1, t.seed)
	t.manyAlone(all[:1])
	t.manyBeside(all[:2]) // these two ask different instances
	sum := all.Total()
	t.Times("latency", &sum.Times)
	t.Bound(sum.Found() == sum.Times.N, "every request gets 200: %d of %d", sum.Found(), sum.Times.N)
}

// manyPath asks for n records, beginning with this id.
func manyPath(from, n int) string {
	b := []byte("/many")
	for i := range n {
		separator := "&id="
		if i == 0 {
			separator = "?id="
		}
		b = strconv.AppendInt(append(b, separator...), int64(from+i), 10)
	}
	return string(b)
}

// records is how many the latest answer has. Each carries the stamp of its query, and
// nothing else in an answer has that name.
func records(c *load.Client) int { return bytes.Count(c.Answer.Body(), []byte(`"stamp":`)) }

func (t *trial) manyAlone(one load.Clients) {
	one.Together(t, func(*load.Client) string { return manyPath(1, manyAtOnce) })
	w := t.observer.work()
	t.Figure("one request", "%d cold ids: %d queries, %d records; the query takes %v", manyAtOnce, w.begun, records(one[0]), manyQuery)
	t.Bound(w.begun == 1, "exactly 1 query for %d cold ids: %d", manyAtOnce, w.begun)
	t.Bound(records(one[0]) == manyAtOnce, "every record is answered: %d of %d", records(one[0]), manyAtOnce)
}

func (t *trial) manyBeside(pair load.Clients) {
	var worst, twice int64 // queries of one round, and for one id
	var example []string   // the queries of the first round with too many
	lacking := 0
	for round := range t.rounds {
		t.observer.reset(manyQuery)
		from := 1 + manyAtOnce + 2*manyAtOnce*round
		pair.Together(t, func(c *load.Client) string { return manyPath(from+c.Number*manyAtOnce/2, manyAtOnce) })
		for _, c := range pair {
			lacking += manyAtOnce - records(c)
		}
		w := t.observer.work()
		worst, twice = max(worst, w.begun), max(twice, w.most)
		if len(example) == 0 && (w.begun > 2 || w.most > 1) {
			example = t.observer.queries()
		}
	}
	t.Figure("two instances", "%d times for %d ids each, half of them the same: at most %d queries, at most %d for any one id",
		t.rounds, manyAtOnce, worst, twice)
	for _, text := range example {
		t.Figure("a round with too many", "%s", text)
	}
	t.Bound(worst <= 2, "at most 2 queries for overlapping lists: %d", worst)
	t.Bound(twice <= 1, "never 2 loads of one id: %d", twice)
	t.Bound(lacking == 0, "every record is answered: %d are not", lacking)
}

package main

import (
	"fmt"
	"strconv"
	"time"

	"hearth/bench/report"
	"hearth/internal/testkit"
)

// What an old answer may be late by, with a poll of 5 ms.
const (
	lagHalf = 6 * time.Millisecond  // of half of the changes
	lagMost = 25 * time.Millisecond // of 99 in a hundred
)

// lagRows is how many rows are changed, one after the other.
const lagRows = 64

// lag times changes of single rows, on PostgreSQL.
func lag(t *trial) {
	g := onPostgres(t, testkit.Postgres(t, testkit.OwnServer("synchronous_commit = on")), lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL()}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	f.lagOf("one session", t.lag, f.session(), t.timed)
	f.settled("afterwards", lagRows, one(redis), patience)
	f.lagOf("a session for each", t.backends, f.anew(), t.timed)
	f.settled("afterwards", lagRows, one(redis), patience)
	t.part("the same without the feed", func(t *trial) {
		redis := testkit.Redis(t)
		f := t.start(g, instances, settings{Redis: redis.URL(), Feed: "off"})
		f.blind(redis)
	})
}

// session changes rows by one session.
func (f *fleet) session() func(sql string) error {
	f.Helper()
	s, err := f.ground.shell()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	return func(sql string) error { _, err := s.Do(sql); return err }
}

// anew changes rows by a session for each.
func (f *fleet) anew() func(sql string) error {
	return func(sql string) error { _, err := f.ground.ask(sql); return err }
}

// lagOf changes rows and notes how late answers were. The versions go on from the ones
// that are there.
func (f *fleet) lagOf(how string, changes int, change func(sql string) error, timed bool) {
	f.Helper()
	l := newLedger(lagRows)
	first := f.ground.count(f.trial, "SELECT max(v) FROM numbers;") + 1
	f.warm(l)
	end := f.read(l, func(to []int64) []int64 {
		for n := range int64(4) {
			to = append(to, (l.latest.Load()+n)%lagRows)
		}
		return to
	})
	for n := range int64(changes) {
		id, version := n%lagRows, first+n/lagRows
		if err := change(fmt.Sprintf("UPDATE numbers SET v = %d WHERE id = %d;", version, id)); err != nil {
			f.Fatal(err)
		}
		l.commit(version, id)
		f.rest(f.pace)
	}
	f.rest(time.Second)
	end()
	f.report(how, l, timed)
}

// warm has every instance remember all rows.
func (f *fleet) warm(l *ledger) {
	f.Helper()
	var keys []string
	for id := range l.rows {
		keys = append(keys, "row:"+strconv.Itoa(id))
	}
	for i := range f.ins {
		for range 2 {
			f.inMemory(i, nil, keys)
		}
	}
}

// report notes how late answers were.
func (f *fleet) report(how string, l *ledger, timed bool) {
	asked, came, old := l.lags(0)
	f.Figure(how, "%d changes, %d answers, of them %d marked, %d without a row; %d changes were seen old after they had committed", asked.N, l.reads.Load(), l.marked.Load(), l.failed.Load(), old)
	f.Times("last old one asked for", asked)
	f.Figure("last old one came", "p50 %v, p90 %v, p99 %v, longest %v", report.Brief(came.Quantile(0.5)), report.Brief(came.Quantile(0.9)), report.Brief(came.Quantile(0.99)), report.Brief(came.Longest))
	f.Figure("histogram", "%s", histogram(came))
	half, most := came.Quantile(0.5), came.Quantile(0.99)
	text := fmt.Sprintf("%s: the last unmarked old answer of any instance comes within %v for half of the changes and within %v for 99 of 100: %v, %v", how, lagHalf, lagMost, report.Brief(half), report.Brief(most))
	if timed {
		f.Bound(half <= lagHalf && most <= lagMost, "%s", text)
	} else {
		f.Figure("", "%s", text)
	}
}

// blind shows what answers are without the feed: old.
func (f *fleet) blind(redis *testkit.RedisServer) {
	f.Helper()
	if wrong := f.differences(f.truth(lagRows), one(redis)); len(wrong) > 0 {
		f.Fatalf("before the change %v", wrong[0])
	}
	f.ground.exec(f.trial, "UPDATE numbers SET v = v + 1;")
	f.rest(f.calm)
	wrong := f.differences(f.truth(lagRows), one(redis))
	want := (lagRows + lagRows/groupSize + 1) * (len(f.ins) + 1)
	f.Bound(len(wrong) == want, "%v after a change %d of %d answers and copies are old", f.calm, len(wrong), want)
}

// histogram is how many times are in each class.
func histogram(l *report.Latencies) string {
	text, below := "", int64(0)
	for _, bound := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, 6 * time.Millisecond, 8 * time.Millisecond, 12 * time.Millisecond,
		25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Hour} {
		n := l.Within(bound)
		if n > below {
			text += fmt.Sprintf("≤ %v: %d  ", bound, n-below)
		}
		below = n
	}
	return text
}

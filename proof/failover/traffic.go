package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/bench/report"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
	"hearth/proof/history"
)

// answerWithin bounds the wait for one answer: longer than any that hearth allows itself.
const answerWithin = 30 * time.Second

// traffic is clients at work on a fleet, and what they were answered.
type traffic struct {
	*trial
	fleet   []*launch.Instance
	checker *history.Checker
	records []*record
	tallies []*tally // by group
	groups  []string

	unmarked []atomic.Int64 // by instance: when the latest answer was asked for that has no mark

	hold sync.RWMutex // held by clients while they ask, readers excepted, and locked to have nobody ask
}

// record is a row in the database with its copies. One writer at a time writes it, so
// its versions grow. The database never goes back to a lower one, so an attempt whose
// outcome is unknown is made again with the same version.
type record struct {
	*history.Record
	id    int64
	group int
}

func (r *record) path() string { return "/row/" + strconv.FormatInt(r.id, 10) }

// mix is who does what.
type mix struct {
	records int                  // of each group
	groups  []string             // what records are divided into, such as the masters; nil: nothing
	group   func(key string) int // which one a key belongs to; nil: there is one
	readers int                  // of each instance
	writers int
	rate    int                    // PUTs per second of all writers together; 0: a few hundred
	batches int                    // clients that store batches
	loaders int                    // clients that delete copies past the instances and read then
	past    func() *outside.Client // of loaders; nil: there are none
	allowed time.Duration          // how old an answer may be on an instance that did not take the write
}

// newTraffic makes the records and writes each once. Nobody reads yet.
func newTraffic(t *trial, fleet []*launch.Instance, m *mix) *traffic {
	if m.groups == nil {
		m.groups = []string{"records"}
	}
	tr := &traffic{trial: t, fleet: fleet, groups: m.groups, unmarked: make([]atomic.Int64, len(fleet)), checker: history.NewChecker(m.allowed, report.NewDelays(time.Millisecond, 10*time.Millisecond, 100*time.Millisecond, time.Second))}
	have := make([]int, len(m.groups))
	for range m.groups {
		tr.tallies = append(tr.tallies, &tally{})
	}
	for id := int64(1); len(tr.records) < m.records*len(m.groups); id++ {
		key := "row:" + strconv.FormatInt(id, 10)
		group := 0
		if m.group != nil {
			group = m.group(key)
		}
		if have[group] == m.records {
			continue
		}
		have[group]++
		tr.records = append(tr.records, &record{Record: history.NewRecord(key, len(fleet)), id: id, group: group})
	}
	conn := load.NewConn(fleet[0].Public, answerWithin)
	defer conn.Close()
	for _, r := range tr.records {
		testkit.Eventually(t, startWithin, "the first version of "+r.Name+" is stored", func() bool { return tr.put(conn, r, 0) == nil && r.Latest() == 1 })
	}
	tr.forget()
	return tr
}

// forget begins the tallies anew.
func (tr *traffic) forget() {
	for _, one := range tr.tallies {
		one.forget()
	}
}

// begin lets the clients loose until the function that it returns is called.
func (tr *traffic) begin(m *mix) (end func()) {
	var clients []func(ctx context.Context) error
	for i, in := range tr.fleet {
		for n := range m.readers {
			clients = append(clients, tr.reader(i, in, tr.dice(100*i+n)))
		}
	}
	for n := range m.writers {
		clients = append(clients, tr.writer(n, m, tr.dice(1000+n)))
	}
	for n := range m.batches {
		clients = append(clients, tr.batcher(n, m, tr.dice(2000+n)))
	}
	if m.past != nil {
		for n := range m.loaders {
			clients = append(clients, tr.loader(m, tr.dice(3000+n)))
		}
	}
	return testkit.Meanwhile(tr, func(ctx context.Context) error { return together(ctx, clients) })
}

// dice are those of one client.
func (tr *traffic) dice(n int) *rand.Rand { return rand.New(rand.NewPCG(tr.seed, uint64(n))) }

// together runs all of them until ctx ends; the first error ends it for all.
func together(ctx context.Context, all []func(ctx context.Context) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	errs := make(chan error, len(all))
	for _, one := range all {
		go func() {
			err := one(ctx)
			if err != nil {
				fail(err)
			}
			errs <- err
		}()
	}
	var first error
	for range all {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// reader reads records of one instance.
func (tr *traffic) reader(instance int, in *launch.Instance, dice *rand.Rand) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		conn := load.NewConn(in.Public, answerWithin)
		defer conn.Close()
		for testkit.Sleep(ctx, readPace) {
			if err := tr.read(conn, tr.records[dice.IntN(len(tr.records))], instance, opRead); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
}

const (
	readPace  = 2 * time.Millisecond
	writePace = 20 * time.Millisecond
	loadPace  = 20 * time.Millisecond
)

// read reads one record and checks the answer.
func (tr *traffic) read(conn *load.Conn, r *record, instance, op int) error {
	q, asked := tr.checker.Ask(r.Record, instance), tr.checker.Now()
	if err := conn.Do(http.MethodGet, r.path(), ""); err != nil {
		return fmt.Errorf("GET %s on instance %d: %w", r.path(), instance+1, err)
	}
	status := conn.Status()
	switch code := conn.Answer.StatusCode(); {
	case code == http.StatusNotFound && load.TierOf(status) != load.Marked:
		tr.checker.CheckLost(q, string(status))
	case code != http.StatusOK:
		tr.refused(conn, r.group, instance, op, "GET "+r.path())
	case load.TierOf(status) == load.Marked:
		tr.tallies[r.group].fail(event{at: tr.checker.Now(), op: op, from: instance, mark: true, what: fmt.Sprintf("GET %s on instance %d is marked (%s)", r.path(), instance+1, status)})
	default:
		version := conn.Member(`"v":`)
		if version < 1 {
			return fmt.Errorf("an answer without a version: %q", conn.Answer.Body())
		}
		tr.checker.Check(q, version, string(status))
		tr.tallies[r.group].ok(op, load.TierOf(status))
		tr.unmarked[instance].Store(int64(asked))
	}
	return nil
}

// refused notes an answer that is no 200.
func (tr *traffic) refused(conn *load.Conn, group, instance, op int, what string) {
	tr.tallies[group].fail(event{at: tr.checker.Now(), op: op, from: instance,
		what: fmt.Sprintf("%s on instance %d is answered %d %.200s", what, instance+1, conn.Answer.StatusCode(), conn.Answer.Body())})
}

// writer writes its own records, one after the other, each through any instance.
func (tr *traffic) writer(n int, m *mix, dice *rand.Rand) func(ctx context.Context) error {
	pace := writePace
	if m.rate > 0 {
		pace = time.Second * time.Duration(m.writers) / time.Duration(m.rate)
	}
	return func(ctx context.Context) error {
		conns := tr.connect()
		defer closeAll(conns)
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := n; ; i += m.writers {
			if i >= len(tr.records) {
				i = n
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			instance := dice.IntN(len(tr.fleet))
			tr.hold.RLock()
			err := tr.put(conns[instance], tr.records[i], instance)
			tr.hold.RUnlock()
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

func (tr *traffic) connect() (conns []*load.Conn) {
	for _, in := range tr.fleet {
		conns = append(conns, load.NewConn(in.Public, answerWithin))
	}
	return conns
}

func closeAll(conns []*load.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// put writes the next version of a record.
func (tr *traffic) put(conn *load.Conn, r *record, instance int) error {
	version, begun := r.Latest()+1, tr.checker.Now()
	if err := conn.Do(http.MethodPut, r.path(), `{"v":`+strconv.FormatInt(version, 10)+`}`); err != nil {
		return fmt.Errorf("PUT %s on instance %d: %w", r.path(), instance+1, err)
	}
	if conn.Answer.StatusCode() != http.StatusOK {
		tr.refused(conn, r.group, instance, opPut, "PUT "+r.path())
		return nil
	}
	r.Acknowledge(begun, tr.checker.Now(), instance)
	tr.tallies[r.group].ok(opPut, load.Source)
	return nil
}

// batcher stores batches of items of one group at a time.
func (tr *traffic) batcher(n int, m *mix, dice *rand.Rand) func(ctx context.Context) error {
	items := make([][]string, len(m.groups))
	for id := 1_000_000 * (n + 1); slicesShorter(items, batchOf); id++ {
		group := 0
		if m.group != nil {
			group = m.group("item:" + strconv.Itoa(id))
		}
		if len(items[group]) < batchOf {
			items[group] = append(items[group], fmt.Sprintf(`{"id":%d,"v":1}`, id))
		}
	}
	return func(ctx context.Context) error {
		conns := tr.connect()
		defer closeAll(conns)
		for testkit.Sleep(ctx, writePace) {
			group, instance := dice.IntN(len(m.groups)), dice.IntN(len(tr.fleet))
			conn := conns[instance]
			if err := conn.Do(http.MethodPost, "/batch", "["+strings.Join(items[group], ",")+"]"); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("POST /batch on instance %d: %w", instance+1, err)
			}
			if conn.Answer.StatusCode() != http.StatusOK {
				tr.refused(conn, group, instance, opBatch, "POST /batch")
				continue
			}
			tr.tallies[group].ok(opBatch, load.Redis)
		}
		return nil
	}
}

// batchOf is how many items a batch has.
const batchOf = 10

func slicesShorter(all [][]string, n int) bool {
	for _, one := range all {
		if len(one) < n {
			return true
		}
	}
	return false
}

// loader deletes the copy of a record past the instances, and reads the record then.
func (tr *traffic) loader(m *mix, dice *rand.Rand) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		conns, past := tr.connect(), m.past()
		defer closeAll(conns)
		defer past.Close()
		for testkit.Sleep(ctx, loadPace) {
			r, instance := tr.records[dice.IntN(len(tr.records))], dice.IntN(len(tr.fleet))
			tr.hold.RLock()
			var err error
			if past.Del(r.Name) == nil { // else its master is away
				err = tr.read(conns[instance], r, instance, opLoad)
			}
			tr.hold.RUnlock()
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	}
}

// violations notes the bound that no answer was wrong.
func (tr *traffic) violations() {
	v := tr.checker.Violations()
	tr.Bound(v.Own+v.Late == 0, "no unmarked answer is older than its instance had acknowledged, or than another had %v before: %d are", tr.checker.Allowance(), v.Own+v.Late)
	for _, text := range v.Examples {
		tr.Figure("", "%s", text)
	}
	if worst := tr.checker.Behind.Worst(); worst > 0 {
		tr.Figure("behind", "%s; at most %v", tr.checker.Behind.Text("%s: %d", ", "), worst.Round(time.Microsecond))
	}
}

// sweepWithin is how long a record may be marked or refused at a time at which all is to
// be well: for one whose copy is under way.
const sweepWithin = time.Second

// sweep reads every record on every instance and notes the bound that each is there, and
// as new as was acknowledged. Nobody may be writing.
func (tr *traffic) sweep(when string) {
	older, unread, example := tr.look()
	tr.Bound(older == 0 && unread == 0, "%s: of %d records on each of %d instances, %d are older than acknowledged, %d cannot be read without a mark", when, len(tr.records), len(tr.fleet), older, unread)
	if example != "" {
		tr.Figure("", "%s", example)
	}
}

// look counts what sweep bounds.
func (tr *traffic) look() (older, unread int, example string) {
	for i, in := range tr.fleet {
		conn := load.NewConn(in.Public, answerWithin)
		for _, r := range tr.records {
			var err error
			tr.await(tr.within(sweepWithin), func() bool {
				err = conn.Do(http.MethodGet, r.path(), "")
				return err == nil && conn.Answer.StatusCode() == http.StatusOK && load.TierOf(conn.Status()) != load.Marked
			})
			switch version := conn.Member(`"v":`); {
			case err != nil || conn.Answer.StatusCode() != http.StatusOK || load.TierOf(conn.Status()) == load.Marked:
				unread++
				example = fmt.Sprintf("GET %s on instance %d: %v, %d (%s)", r.path(), i+1, err, conn.Answer.StatusCode(), conn.Status())
			case version < r.Latest():
				older++
				example = fmt.Sprintf("GET %s on instance %d: version %d of %d (%s)", r.path(), i+1, version, r.Latest(), conn.Status())
			}
		}
		conn.Close()
	}
	return older, unread, example
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/protocol"
	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/testkit"
)

// company is what plays traces of the model: two instances over one Redis, and
// what it has counted.
type company struct {
	t     *testing.T
	srv   *testkit.RedisServer
	redis *testkit.RedisConn // for foreign programs and for looking
	res   *Resource

	caches    [protocol.Instances]*Cache
	prompters [protocol.Instances]*prompter
	wires     [protocol.Instances]*wire

	plays, steps, looks int
	exact               int // looks that found all that the model has in memory and in flight
	memories            int // looks into memory that found the value which the model has there
	acts                [protocol.Acts]int
	plain               int // reads beside a poisoned one
	unkept              int // plain reads that were answered
	refused             int // fills and refreshes
	spared              int // own writes, by the feed
	nulls               int // plays that begin with a missing record
	renewals, unclaimed int // of the steps that change nothing
}

// newCompany opens the instances. Each one's tier may be replaced, to show
// that this is noticed.
func newCompany(t *testing.T, replace func(c *Cache, whole SharedTier) SharedTier) *company {
	co := &company{t: t, srv: testkit.Redis(t)}
	co.redis = co.srv.AdminConn()
	lives := Lifetimes{Cold: time.Hour, Hot: time.Hour, Missing: time.Hour, Stale: time.Hour}
	co.res = NewResource("record", "", lives, register{})
	for i := range co.caches {
		co.wires[i] = newWire(t, co.srv)
		cfg := testConfig()
		cfg.Redis.URL = co.wires[i].near.URL()
		// Only what a trace says may happen: no canary after the first, no
		// expiry, no renewal, nothing hot.
		cfg.LinkTimeout, cfg.Lease, cfg.Revalidate, cfg.Wait = time.Hour, time.Hour, time.Hour, time.Hour
		cfg.HotRate, cfg.MissingRate = 1e9, 1e9
		c := open(t, cfg)
		testkit.Eventually(t, patience, "the connection has proved itself", func() bool { return c.Up() == nil && proven(c) })
		p := &prompter{SharedTier: c.tier, redis: c.tier.(*redis.Tier), actors: map[string]*actor{}}
		if replace != nil {
			p.SharedTier = replace(c, c.tier)
		}
		c.tier = p
		co.caches[i], co.prompters[i] = c, p
	}
	return co
}

// rehearsal is one trace being played.
type rehearsal struct {
	*company
	model  *protocol.Model
	rng    *rand.Rand
	key    string
	actors []*actor
	same   bool // versions have equal bytes in turn, as the model's have
	null   bool // the first version is a missing record

	over    chan struct{}
	running sync.WaitGroup
	db      atomic.Int32

	now    protocol.State   // the model's, after the step that was played last
	looked protocol.Content // what Redis had to hold at the last look
	text   *string          // what it held
	ends   string           // when that expires
	beside string           // what the sibling held
	fed    bool             // a feed tells of writes by their tokens

	lines   [protocol.Instances][]note           // what is under way to each instance
	tracked [protocol.Instances]bool             // Redis will really tell of the next change
	memory  [protocol.Instances]protocol.Version // what memory has to hold
}

// note is a message under way to an instance. Not all are there in both worlds:
// where the real code is stricter than the model it does without one (see
// readTracked), and Redis does not tell of the deletion of nothing, so that it
// tells of the next change instead.
type note struct {
	model, real bool
	ending      string // of the real one, as on the wire
}

// record is the bytes of a version, nil for a missing record.
func (r *rehearsal) record(v int32) []byte {
	switch {
	case r.null && v == 0:
		return nil
	case r.same:
		v %= 2
	}
	return fmt.Appendf(nil, `{"v":%d}`, v)
}

// bytesOf is what a tier holds for a version.
func (r *rehearsal) bytesOf(v protocol.Version) string {
	if v < 0 && v != protocol.NoVersion { // as memory keeps foreign ones
		v = -1 - v
	}
	if record := r.record(int32(v)); record != nil {
		return string(record)
	}
	return string(memory.Null)
}

func (r *rehearsal) args(a *actor) source.Args { return source.Args{a} }

// play plays a trace and returns how the real code departs from it.
func (co *company) play(trace protocol.Trace, rng *rand.Rand) (err error) {
	r := &rehearsal{
		company: co, model: trace.Model, rng: rng, key: fmt.Sprint("play:", co.plays), over: make(chan struct{}),
		same: strings.Contains(trace.Model.Cast, "X"), fed: strings.Contains(trace.Model.Cast, "E"), now: trace.Start,
	}
	r.null = !r.same && rng.IntN(3) == 0
	if r.null {
		co.nulls++
	}
	co.plays++
	for n, p := range trace.Model.Processes {
		r.actors = append(r.actors, r.newActor(p.Name, n, p.Instance))
	}
	defer r.end()
	if err := r.open(); err != nil {
		return err
	}
	for i := range trace.Steps {
		st := &trace.Steps[i]
		err := r.perform(st)
		if err == nil {
			r.follow(st)
			err = r.compare(st.After)
		}
		if err == nil && rng.IntN(3) == 0 {
			err = r.stutter()
		}
		if err != nil {
			trace.Steps = trace.Steps[:i+1]
			return fmt.Errorf("%w\nin the last step of a play of %q:\n%v", err, trace.Model.Cast, trace)
		}
		co.acts[st.Act]++
		if st.Refused {
			co.refused++
		}
		if st.Spared {
			co.spared++
		}
		co.steps++
	}
	return nil
}

func (r *rehearsal) newActor(name string, n, i int) *actor {
	return &actor{play: r, name: name, n: n, cache: r.caches[i], events: make(chan spot), orders: make(chan bool)}
}

// open makes the world what the model begins with.
func (r *rehearsal) open() error {
	for i := range r.memory {
		r.memory[i] = protocol.NoVersion
	}
	if r.now.Redis.IsValue() {
		r.set(0)
	}
	if r.now.Instances[0].Memory != protocol.NoVersion {
		for i, c := range r.caches {
			a, err := c.Read(within(r.t), r.res, r.key, r.args(r.actors[0]))
			if err != nil || !a.Stored {
				return fmt.Errorf("warming instance %d: stored %v, error %v", i, a.Stored, err)
			}
			r.memory[i], r.tracked[i] = 0, true
		}
	}
	for _, w := range r.wires {
		w.begin(r.key)
	}
	return r.compare(r.now)
}

// set is a SET by a foreign program. It has an expiry, or a refresh would not
// look at the value.
func (r *rehearsal) set(v protocol.Version) {
	r.redis.Do("SET", r.key, r.bytesOf(v), "PX", strconv.Itoa(3_000_000+r.rng.IntN(1_000_000)))
}

// end lets everybody go home.
func (r *rehearsal) end() {
	close(r.over)
	for _, a := range r.actors {
		a.learned.Store(true)
	}
	for i := range r.caches {
		r.wires[i].end()
	}
	for _, a := range r.actors {
		if a.cancel != nil {
			a.cancel()
		}
	}
	r.running.Wait()
	for i, c := range r.caches {
		c.running.Wait()
		r.prompters[i].dismiss(r)
	}
	r.redis.Do("DEL", r.key, shared.SiblingOf(r.key), shared.OwnOf(r.key))
}

// perform makes the real code take the step.
func (r *rehearsal) perform(st *protocol.Step) error {
	var a *actor
	if st.Process != protocol.NoProcess {
		a = r.actors[st.Process]
	}
	switch st.Act {
	case protocol.SetsGuard:
		a.start(func(ctx context.Context) { a.write(ctx, r.model.Rules.Unguard == protocol.UnguardDeletes) })
		return a.await(beforeCommit)
	case protocol.Commits:
		return a.tell(true, beforeUnguard)
	case protocol.Aborts:
		return a.tell(false, beforeUnguard)
	case protocol.RemovesGuard:
		return a.tell(true, afterUnguard)
	case protocol.SendsCommit, protocol.CommitLands, protocol.HearsOutcome, protocol.LosesAnswer, protocol.LearnsOutcome, protocol.SetsGuardAnew:
		return r.performCommit(a, st)
	case protocol.Acknowledges:
		if r.now.Processes[a.n].Phase == protocol.Unguarded {
			return r.settled(a)
		}
		return errors.Join(a.tell(true, offStage), r.checkWrite(a, st.Version))
	case protocol.Dies, protocol.DiesInCommit: // nobody ever tells it to go on
		return nil
	case protocol.CommitsLate, protocol.CommitsForeign:
		r.db.Add(1)
		return nil
	case protocol.SetsForeign:
		r.set(st.Version)
		return nil
	case protocol.DeletesForeign:
		r.redis.Do("DEL", r.key)
		return nil
	case protocol.Expires:
		return r.expire(a)
	case protocol.RefreshLeaseExpires:
		r.redis.Do("DEL", shared.SiblingOf(r.key))
		return nil
	case protocol.ReadsRow, protocol.TakesRowOut: // the outbox is none of this package's
		return nil
	case protocol.Outdates:
		return r.outdate(st)
	case protocol.MarkExpires:
		r.redis.Do("DEL", shared.OwnOf(r.key))
		return nil
	case protocol.TakesInvalidation:
		return r.takeInvalidation(int(st.Instance))
	case protocol.TakesReply:
		return r.takeReply(a, st)
	case protocol.LinkBreaks:
		return r.breakLink(int(st.Instance))
	}
	return r.performLoad(a, st)
}

// performLoad is perform for the steps of readers and refreshers.
func (r *rehearsal) performLoad(a *actor, st *protocol.Step) error {
	switch st.Act {
	case protocol.ReadsTracked:
		return r.readTracked(a, r.model.Processes[a.n].Instance)
	case protocol.ReadsPlain:
		return r.readPlain(a, r.model.Processes[a.n].Instance)
	case protocol.TakesPlainReply:
		return r.takePlainReply(a, st)
	case protocol.TakesLease:
		return a.tell(true, beforeLoad)
	case protocol.MeetsContent:
		return r.meet(a, st)
	case protocol.Loads:
		return a.tell(true, beforeFill)
	case protocol.Fills:
		err := errors.Join(a.tell(true, offStage), r.checkAnswer(a, st.Version))
		if err == nil && a.answer.Stored == st.Refused {
			err = fmt.Errorf("%s's fill: stored %v, the model says refused %v", a.name, a.answer.Stored, st.Refused)
		}
		return err
	case protocol.PassesOpenWrite:
		a.start(a.read)
		a.pastLoad.Store(true)
		return errors.Join(a.await(beforeLoad), a.tell(true, afterPastLoad))
	case protocol.PassesGuard:
		a.start(func(ctx context.Context) { a.readPastGuard(ctx, *r.text) })
		a.pastLoad.Store(true)
		return errors.Join(a.await(beforeLoad), a.tell(true, afterPastLoad))
	case protocol.AnswersPass:
		return errors.Join(a.tell(true, offStage), r.checkAnswer(a, st.Version))
	case protocol.TakesRefreshLease:
		was := []byte(*r.text)
		a.start(func(ctx context.Context) { a.cache.refreshNow(ctx, r.res, r.key, r.args(a), was) })
		return a.await(beforeLoad)
	case protocol.LoadsToRefresh:
		return a.tell(true, beforeRefreshed)
	case protocol.Refreshes:
		err := a.tell(true, offStage)
		if err == nil && a.stored == st.Refused {
			err = fmt.Errorf("%s's refresh: stored %v, the model says refused %v", a.name, a.stored, st.Refused)
		}
		return err
	}
	return fmt.Errorf("BUG: nobody can play the act %q", st.Act)
}

// write is a writer's call.
func (a *actor) write(ctx context.Context, deletes bool) {
	r := a.play
	if deletes {
		a.err = a.cache.Delete(ctx, r.res, r.key, r.args(a))
		return
	}
	a.answer, a.err = a.cache.Put(ctx, r.res, r.key, r.args(a), jsonvalue.Node{Value: []byte("{}")})
}

// read is a reader's call.
func (a *actor) read(ctx context.Context) { a.answer, a.err = a.query(ctx).run(nil) }

// query begins a read. Of what a plain reader asks for, memory would keep nothing.
func (a *actor) query(ctx context.Context) *query {
	r := a.play
	q := a.cache.newQuery(ctx, r.res, r.key, r.args(a))
	if a.n >= 0 && r.model.Processes[a.n].Plain {
		q.keeping, q.follows = keepsNothing, r.now.Processes[a.n].Phase == protocol.Following
	}
	return q
}

// readOvertaken goes on where a reader has looked into memory in vain and has not
// begun to read when another's read is stored there.
func (a *actor) readOvertaken(ctx context.Context) {
	q := a.query(ctx)
	a.answer, _, a.err = q.resolve(q.readShared())
}

// readPastGuard goes on where a reader has waited for the guard long enough.
func (a *actor) readPastGuard(ctx context.Context, guard string) {
	r := a.play
	q := a.cache.newQuery(ctx, r.res, r.key, r.args(a))
	q.waited = q.settings.Load().Wait
	a.answer, _, a.err = q.meetGuard(sharedRead{result: result{Content: shared.Content{State: shared.Guard, Text: guard, TTL: time.Minute}}, sent: q.began})
}

func (r *rehearsal) checkAnswer(a *actor, v protocol.Version) error {
	switch {
	case a.err != nil:
		return fmt.Errorf("%s is not answered: %w", a.name, a.err)
	case a.answer.Detail != "" || string(a.answer.Data()) != r.bytesOf(v):
		return fmt.Errorf("%s is answered %s (%s), want %s", a.name, a.answer.Data(), a.answer.Detail, r.bytesOf(v))
	}
	return nil
}

func (r *rehearsal) checkWrite(a *actor, v protocol.Version) error {
	switch {
	case (a.err != nil) != (v == protocol.NoVersion):
		return fmt.Errorf("%s ends with %v, the model commits %d", a.name, a.err, v)
	case a.err == nil && a.answer.Entry != nil:
		return r.checkAnswer(a, v)
	}
	return nil
}

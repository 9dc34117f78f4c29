package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/cache/memory"
	"hearth/cache/protocol"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// What befalls readers between the steps of their own: replies and pushes that
// arrive, links that break, lifetimes that end.

// readTracked begins a flight. While a read that an own write has poisoned is on
// the wire, the real code reads untracked and stores nothing; the model
// does as if it could tell the two replies apart.
func (r *rehearsal) readTracked(a *actor, i int) error {
	read := a.read
	if r.memory[i] != protocol.NoVersion {
		read = a.readOvertaken
	}
	if r.readsPlain(i) {
		r.plain++
		a.start(read)
		return a.await(afterPlainRead)
	}
	a.start(read)
	_, err := r.wires[i].await(len(r.sent(i))+1, a.elsewhere)
	return err
}

// readsPlain tells whether a poisoned read is on the wire of instance i.
func (r *rehearsal) readsPlain(i int) bool {
	for n, a := range r.actors {
		p := r.now.Processes[n]
		if r.model.Processes[n].Instance == i && p.Phase == protocol.Reading && p.Flight == protocol.Poisoned && a.tracking.Load() != nil {
			return true
		}
	}
	return false
}

// meet is SET NX GET that finds something.
func (r *rehearsal) meet(a *actor, st *protocol.Step) error {
	if st.Content.IsValue() {
		return errors.Join(a.tell(true, offStage), r.checkAnswer(a, st.Content.Version))
	}
	a.leave() // it would wait; the model's next read is another request
	return a.tell(true, offStage)
}

// takeReply hands the next message to instance i, or lets go on who has read
// without one.
func (r *rehearsal) takeReply(a *actor, st *protocol.Step) error {
	i, then := int(st.Instance), offStage
	switch st.After.Processes[a.n].Phase {
	case protocol.Acquiring:
		then = beforeLease
	case protocol.Waiting:
		a.leave()
	}
	next, err := r.next(i)
	switch {
	case err != nil:
	case !next.real:
		err = a.tell(true, then)
	default:
		err = errors.Join(r.wires[i].take(), a.await(then))
	}
	if err == nil && st.Content.IsValue() {
		err = r.checkAnswer(a, st.Content.Version)
	}
	return err
}

// takeInvalidation hands the next message to instance i.
func (r *rehearsal) takeInvalidation(i int) error {
	next, err := r.next(i)
	if err == nil && next.real {
		err = r.invalidate(i)
	}
	return err
}

// next is the next message of the model's to instance i. What is only real and
// stands before it is taken.
func (r *rehearsal) next(i int) (note, error) {
	for !r.lines[i][0].model {
		r.lines[i], r.memory[i] = r.lines[i][1:], protocol.NoVersion
		if err := r.invalidate(i); err != nil {
			return note{}, err
		}
	}
	return r.lines[i][0], nil
}

// invalidate lets instance i take a message which is an invalidation.
func (r *rehearsal) invalidate(i int) error {
	applied := watchOf(r.caches[i], r.key)
	if err := r.wires[i].take(); err != nil {
		return err
	}
	select {
	case <-applied:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("instance %d does not apply an invalidation", i)
	}
}

// breakLink cuts the tracked connection of instance i, whose reads fail, and
// waits until another has proved itself.
func (r *rehearsal) breakLink(i int) error {
	var cut []*actor
	for n, a := range r.actors {
		if r.now.Processes[n].Phase == protocol.Reading && r.model.Processes[n].Instance == i {
			a.leave()
			cut = append(cut, a)
		}
	}
	before := livingOwners(r.caches[i])
	r.wires[i].cut()
	for _, a := range cut {
		then := a.await
		if a.tracking.Load() == nil {
			then = func(at spot) error { return a.tell(false, at) }
		}
		if err := then(offStage); err != nil {
			return err
		}
	}
	c, keeper := r.caches[i], r.prompters[i].redis
	testkit.Eventually(r.t, patience, "the cut connection is replaced and proved", func() bool {
		for _, o := range before {
			if !o.Ended() {
				return false
			}
			o.Prove(o.ProvenAt()) // a canary that was out would be waited for: rounds are long here
		}
		keeper.ProbeNow()
		return c.Up() == nil && proven(c)
	})
	return nil
}

// livingOwners are the connections that c reads tracked on.
func livingOwners(c *Cache) (all []*memory.Owner) {
	for o := range c.store.Owners {
		if !o.Local() && !o.Ended() {
			all = append(all, o)
		}
	}
	return all
}

// outdate has an instance do what the feed has it do for a row of the outbox.
func (r *rehearsal) outdate(st *protocol.Step) error {
	o := shared.Outdated{Key: r.key}
	if row := int(st.Content.Tag); r.model.Processes[row].Role == protocol.Writer {
		o.Writer = r.actors[row].token
	}
	all := []shared.Outdated{o}
	if err := r.caches[r.model.Processes[st.Process].Instance].Outdate(within(r.t), all); err != nil {
		return err
	}
	if all[0].Kept != st.Spared {
		return fmt.Errorf("the feed leaves the record: %v, in the model %v", all[0].Kept, st.Spared)
	}
	return nil
}

// leaves tells whether the feed leaves the key as it is for a row: the guard that stands
// there is that of the row's writer, or marked already.
func (r *rehearsal) leaves(st *protocol.Step) bool {
	at, row := r.now.Redis, int(st.Content.Tag)
	if r.model.Processes[row].Role != protocol.Writer || !slices.Contains(at.Holders(), row) || !at.IsGuard() {
		return false
	}
	return at.State == protocol.SharedGuard || len(at.Holders()) == 1
}

// expire ends one token of the placeholder, as its deadline would.
func (r *rehearsal) expire(a *actor) error {
	prefix, pairs, found := strings.Cut(*r.text, ":")
	var left []string
	for pair := range strings.SplitSeq(pairs, ",") {
		token, _, _ := strings.Cut(pair, "@")
		if a.cache.tier.(*prompter).of(token) != a {
			left = append(left, pair)
		}
	}
	switch {
	case !found:
		return fmt.Errorf("BUG: %q is no placeholder that expires", *r.text)
	case len(left) == 0:
		r.redis.Do("DEL", r.key)
	default:
		r.redis.Do("SET", r.key, prefix+":"+strings.Join(left, ","), "KEEPTTL")
	}
	return nil
}

// stutter takes a step that is none of the model's, because it changes nothing:
// a writer renews its guard, or somebody wants to refresh what does not stand
// or is refreshed already. Then it looks again.
func (r *rehearsal) stutter() error {
	n := r.rng.IntN(len(r.actors))
	a := r.actors[n]
	var err error
	switch i := r.model.Processes[n].Instance; {
	case r.now.Processes[n].Phase == protocol.Guarded:
		err = r.renew(a, i)
	case r.same:
		err = r.claim(i)
	}
	if err != nil {
		return err
	}
	return r.compare(r.now)
}

// renew prolongs the guard of a, which Redis tells of as of any change.
func (r *rehearsal) renew(a *actor, i int) error {
	r.renewals++
	got := r.prompters[i].RenewGuards(within(r.t), []shared.HeldGuard{{Key: r.key, Token: a.token}})[0]
	stands, err := got.State == shared.GuardStood, got.Err
	if want := r.now.Redis.IsGuard() && slices.Contains(r.now.Redis.Holders(), a.n); err != nil || stands != want {
		return fmt.Errorf("%s renews its guard: %v, error %v, want %v", a.name, stands, err, want)
	}
	if stands {
		r.told(func(int) bool { return false }, true)
	}
	return nil
}

// claim tries to refresh what memory of instance i holds, or held. It must be
// refused.
func (r *rehearsal) claim(i int) error {
	was := r.bytesOf(protocol.Version(r.rng.IntN(2)))
	if r.memory[i] != protocol.NoVersion {
		was = r.bytesOf(r.memory[i])
	}
	if r.now.Redis.IsValue() && *r.text == was && r.beside == "" {
		return nil // rightly so: for this the model has a step
	}
	r.unclaimed++
	a := r.newActor("a stranger", protocol.NoProcess, i)
	a.start(func(ctx context.Context) { a.cache.refreshNow(ctx, r.res, r.key, r.args(a), []byte(was)) })
	return a.await(offStage)
}

// performCommit is perform for commits that are not answered at once.
func (r *rehearsal) performCommit(a *actor, st *protocol.Step) error {
	switch st.Act {
	case protocol.SendsCommit:
		a.slow.Store(true)
		return a.tell(true, inCommit)
	case protocol.CommitLands:
		a.landed.Store(r.db.Add(1))
	case protocol.HearsOutcome:
		return a.tell(true, beforeUnguard)
	case protocol.LosesAnswer:
		a.lost.Store(true)
		if err := a.tell(true, offStage); err != nil || !errors.Is(a.err, ErrUnconfirmed) {
			return fmt.Errorf("%s ends with %v (%w), want ErrUnconfirmed", a.name, a.err, err)
		}
	case protocol.LearnsOutcome:
		a.learned.Store(true)
		return a.await(beforeUnguard)
	case protocol.SetsGuardAnew:
		u := &a.cache.writes
		if err := u.renewGuards(within(r.t), u.of(func(w *openWrite) bool { return w.token == a.token })); err != nil {
			return err
		}
	}
	return nil
}

// settled lets a writer go on whose call is over long since: its key is read from the
// tiers again.
func (r *rehearsal) settled(a *actor) error {
	select {
	case a.orders <- true:
	case <-time.After(patience):
		return fmt.Errorf("%s does not wait where it should", a.name)
	}
	u := &a.cache.writes
	testkit.Eventually(r.t, patience, a.name+" is settled", func() bool {
		return len(u.of(func(w *openWrite) bool { return w.token == a.token })) == 0
	})
	return nil
}

// of returns the open writes that are meant.
func (u *openWrites) of(meant func(*openWrite) bool) (all []*openWrite) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for w := range u.all {
		if meant(w) {
			all = append(all, w)
		}
	}
	return all
}

// upholds tells whether a read past the tiers sees to guards before it is answered.
func upholds(m *protocol.Model, at protocol.State, st *protocol.Step) bool {
	return st.Act == protocol.AnswersPass && writerIn(m, at, st, protocol.Unanswered, protocol.Unguarded)
}

// writerIn tells whether another writer of the step's instance is in one of some
// phases.
func writerIn(m *protocol.Model, at protocol.State, st *protocol.Step, from, to protocol.Phase) bool {
	for n, p := range m.Processes {
		if n != int(st.Process) && p.Role == protocol.Writer && p.Instance == m.Processes[st.Process].Instance && at.Processes[n].Phase >= from && at.Processes[n].Phase <= to {
			return true
		}
	}
	return false
}

package cache

import (
	"context"
	"errors"
	"fmt"

	"hearth/cache/memory"
	"hearth/cache/protocol"
	"hearth/cache/shared"
)

// Plain reads, of which memory keeps nothing. That it holds what the model has, and no
// more, is looked at after each step, as ever.

// readPlain sends a plain read. What memory still has of the key, from a link that is
// broken, it has to make room for before.
func (r *rehearsal) readPlain(a *actor, i int) error {
	c := r.caches[i]
	sh := c.flights.shard(r.key)
	sh.mu.Lock()
	c.store.Drop(r.key, nil)
	sh.mu.Unlock()
	a.start(a.read)
	return a.await(afterPlainRead)
}

// takePlainReply hands its reply to a plain read.
func (r *rehearsal) takePlainReply(a *actor, st *protocol.Step) error {
	switch st.After.Processes[a.n].Phase {
	case protocol.Acquiring:
		return a.tell(true, beforeLease)
	case protocol.Done:
		r.unkept++
		return errors.Join(a.tell(true, offStage), r.checkAnswer(a, st.Content.Version))
	}
	a.leave() // it would read tracked; the model's next read is another request
	if err := a.tell(true, offStage); err != nil {
		return err
	}
	if a.strayed.Load() {
		return fmt.Errorf("%s looks again plainly, and does not read tracked what it waits for", a.name)
	}
	return nil
}

// forgetWaits takes from a state who relies on being told: in a play nobody really waits.
func (r *rehearsal) forgetWaits(s *protocol.State) {
	for n := range r.actors {
		if p := &s.Processes[n]; p.Phase == protocol.Waiting {
			p.Flight = protocol.NoFlight
		}
	}
}

// joinable tells whether a tracked read is under way on the step's instance that a plain
// reader joins.
func joinable(m *protocol.Model, at protocol.State, st *protocol.Step) bool {
	for n, p := range m.Processes {
		if p.Instance == m.Processes[st.Process].Instance && at.Processes[n].Phase == protocol.Reading && at.Processes[n].Flight == protocol.Open {
			return true
		}
	}
	return false
}

// keptPlain keeps in memory what a plain read has brought.
type keptPlain struct {
	SharedTier
	cache *Cache
}

func (k keptPlain) Value(ctx context.Context, key string) (shared.Content, error) {
	r, err := k.SharedTier.Value(ctx, key)
	if a := actorOf(ctx); a != nil && err == nil && r.State == shared.Value {
		sh := k.cache.flights.shard(key)
		sh.mu.Lock()
		defer sh.mu.Unlock()
		o := livingOwners(k.cache)[0]
		k.cache.store.Keep(memory.NewEntry(a.play.res.Shape, key, r.Data, 0), o, o.Epoch(), memory.Never, memory.Never)
	}
	return r, err
}

package cache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/cache/protocol"
	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// follow notes what the step has changed in the model and beside it.
func (r *rehearsal) follow(st *protocol.Step) {
	upheld := upholds(r.model, r.now, st)
	wrote := writes(st) || st.Act == protocol.Outdates && !st.Spared && !r.leaves(st) && r.now.Redis.State != protocol.Nothing || upheld && st.After.Redis != r.now.Redis
	changed := upheld || wrote && (r.now.Redis.State != protocol.Nothing || st.After.Redis.State != protocol.Nothing)
	for i := range st.After.Instances {
		after, mine := st.After.Instances[i].Memory, int(st.Instance) == i
		switch {
		case mine && st.Act == protocol.LinkBreaks:
			r.lines[i], r.tracked[i], r.memory[i] = nil, false, protocol.NoVersion
		case mine && st.Act == protocol.TakesInvalidation:
			r.lines[i], r.memory[i] = r.lines[i][1:], protocol.NoVersion
		case mine && st.Act == protocol.TakesReply:
			if r.lines[i][0].real && st.Content.IsValue() && r.now.Processes[st.Process].Flight == protocol.Open {
				r.memory[i] = after
			}
			r.lines[i] = r.lines[i][1:]
		case after == protocol.NoVersion:
			r.memory[i] = after // an own write
		}
	}
	r.told(func(i int) bool { return r.now.Instances[i].Tracked && wrote }, changed)
	if st.Act == protocol.ReadsTracked {
		i := r.model.Processes[st.Process].Instance
		n := note{model: true, real: r.actors[st.Process].tracking.Load() != nil, ending: testkit.Encode(nil)}
		if r.text != nil {
			n.ending = testkit.Encode(*r.text)
		}
		r.lines[i] = append(r.lines[i], n)
		r.tracked[i] = r.tracked[i] || n.real
	}
	r.now = st.After
}

// told notes the invalidations of a change: those which the model has sent, and
// if Redis has seen a change, those which it has.
func (r *rehearsal) told(model func(i int) bool, changed bool) {
	for i := range r.lines {
		if n := (note{model(i), changed && r.tracked[i], testkit.Encode([]any{r.key})}); n.model || n.real {
			r.lines[i] = append(r.lines[i], n)
		}
		r.tracked[i] = r.tracked[i] && !changed
	}
}

// writes tells whether the step writes the key, be it with what stands there.
func writes(st *protocol.Step) bool {
	switch st.Act {
	case protocol.SetsGuard, protocol.RemovesGuard, protocol.TakesLease, protocol.Fills, protocol.Refreshes,
		protocol.SetsForeign, protocol.DeletesForeign, protocol.Expires, protocol.SetsGuardAnew:
		return !st.Refused
	}
	return false
}

// sent is what Redis has really sent to instance i, by how it ends.
func (r *rehearsal) sent(i int) (endings []string) {
	for _, n := range r.lines[i] {
		if n.real {
			endings = append(endings, n.ending)
		}
	}
	return endings
}

// compare looks at the real state, demands that it is the model's as far as
// the real code is not stricter, and that it keeps all promises.
func (r *rehearsal) compare(model protocol.State) error {
	r.looks++
	seen := model
	if err := r.compareRedis(&seen); err != nil {
		return err
	}
	for i := range seen.Instances {
		if err := r.compareChannel(&seen, i); err != nil {
			return err
		}
		if err := r.compareMemory(&seen, i); err != nil {
			return err
		}
	}
	for n := range r.actors {
		if err := r.compareFlight(&seen, n); err != nil {
			return err
		}
	}
	r.forgetWaits(&seen)
	if v := r.model.Check(seen); v != nil {
		return fmt.Errorf("the real state breaks a promise: %w: %s", v, r.model.DescribeState(&seen))
	}
	r.forgetWaits(&model)
	exact := seen.Processes == model.Processes
	for i := range seen.Instances {
		exact = exact && seen.Instances[i].Memory == model.Instances[i].Memory
	}
	if exact {
		r.exact++
	}
	return nil
}

// compareRedis demands that Redis holds exactly what the model says.
func (r *rehearsal) compareRedis(seen *protocol.State) error {
	want, before := seen.Redis, r.ends
	text, ends, sibling, mark := r.look()
	r.text, r.ends, r.beside = text, ends, sibling
	if got := r.contentOf(text, want); got != r.described(want) {
		return fmt.Errorf("Redis holds %s, want %s", got, r.described(want))
	}
	// What stands there is told from equal bytes of before by its expiry.
	if want.IsValue() && want == r.looked && ends != before {
		return fmt.Errorf("the value in Redis was replaced by equal bytes: it expires at %s, before at %s", ends, before)
	}
	if want.IsValue() && r.same && want != r.looked && ends == before {
		return fmt.Errorf("the value in Redis was not replaced: it expires at %s still", ends)
	}
	r.looked = want
	// A refused refresh gives its lease back at once; the model leaves that to
	// the lease's expiry.
	holder := "nobody"
	if n := seen.Refresher; n != protocol.NoProcess && seen.Processes[n].Phase != protocol.Done {
		holder = r.actors[n].name
	}
	if got := r.holderOf(sibling); got != holder {
		return fmt.Errorf("the refresh lease is of %s, want %s", got, holder)
	}
	marked := "nobody"
	if seen.Mark != 0 {
		marked = r.actors[seen.Mark-1].name
	}
	if got := r.holderOf(mark); got != marked {
		return fmt.Errorf("the mark beside the key is of %s, want %s", got, marked)
	}
	return nil
}

// look asks Redis for the key, its expiry, its sibling and its mark in one round trip.
func (r *rehearsal) look() (text *string, ends, sibling, mark string) {
	for _, cmd := range [][]string{{"GET", r.key}, {"PEXPIRETIME", r.key}, {"GET", shared.SiblingOf(r.key)}, {"GET", shared.OwnOf(r.key)}} {
		if err := r.redis.Send(cmd...); err != nil {
			r.t.Fatal(err)
		}
	}
	var got [4]any
	for i := range got {
		var err error
		if got[i], err = r.redis.Receive(); err != nil {
			r.t.Fatal(err)
		}
	}
	if s, ok := got[0].(string); ok {
		text = &s
	}
	ends = fmt.Sprint(got[1])
	sibling, _ = got[2].(string)
	mark, _ = got[3].(string)
	return text, ends, sibling, mark
}

// described names a content; values by their bytes.
func (r *rehearsal) described(c protocol.Content) string {
	if c.IsValue() {
		return "the value " + r.bytesOf(c.Version)
	}
	return r.model.Describe(c)
}

// contentOf names what Redis holds in the same way.
func (r *rehearsal) contentOf(text *string, want protocol.Content) string {
	if text == nil {
		return r.described(protocol.Content{})
	}
	switch rep := shared.Parse([]byte(*text), 0); rep.State {
	case shared.Lease:
		return r.described(protocol.LeaseOf(r.numberOf((*text)[len(shared.LeasePrefix):])))
	case shared.Guard:
		prefix, pairs, _ := strings.Cut(*text, ":")
		var all []int
		for pair := range strings.SplitSeq(pairs, ",") {
			token, deadline, _ := strings.Cut(pair, "@")
			if ms, err := strconv.ParseInt(deadline, 10, 64); err != nil || ms < time.Now().UnixMilli() {
				return "the guard " + *text + " with a deadline that is over"
			}
			all = append(all, r.numberOf(token))
		}
		return r.described(protocol.GuardOf(prefix+":" == shared.SharedPrefix, all...))
	}
	return "the value " + *text
}

// numberOf is the process that a token belongs to.
func (r *rehearsal) numberOf(token string) int {
	for _, p := range r.prompters {
		if a := p.of(token); a != nil && a.play == r {
			return a.n
		}
	}
	r.t.Fatalf("the token %q is of nobody in the play", token)
	return 0
}

func (r *rehearsal) holderOf(sibling string) string {
	if sibling == "" {
		return "nobody"
	}
	return r.actors[r.numberOf(sibling)].name
}

// compareChannel demands that Redis has sent to instance i what the model has,
// but for what the real code does without.
func (r *rehearsal) compareChannel(seen *protocol.State, i int) error {
	want := r.sent(i)
	got, err := r.wires[i].await(len(want), func() error { return nil })
	if err != nil {
		return fmt.Errorf("instance %d: %w", i, err)
	}
	if !slices.EqualFunc(got, want, strings.HasSuffix) {
		return fmt.Errorf("instance %d: Redis has sent %q, want messages that end in %q", i, got, want)
	}
	in := &seen.Instances[i]
	channel := in.Channel()
	var both []protocol.Message
	for _, n := range r.lines[i] {
		if n.model && n.real {
			both = append(both, channel[0])
		}
		if n.model {
			channel = channel[1:]
		}
	}
	in.SetChannel(both)
	return nil
}

// compareMemory demands that memory of instance i would serve what the model
// says. It may be empty only where the value was not read tracked.
func (r *rehearsal) compareMemory(seen *protocol.State, i int) error {
	want := r.memory[i]
	if want != protocol.NoVersion && want != seen.Instances[i].Memory {
		return fmt.Errorf("BUG: memory of instance %d should hold %d, in the model it holds %d", i, want, seen.Instances[i].Memory)
	}
	seen.Instances[i].Memory = want
	e, _ := r.caches[i].Hit(r.res, []byte(r.key), time.Now())
	switch {
	case e == nil && want == protocol.NoVersion:
	case e == nil:
		return fmt.Errorf("memory of instance %d is empty, want %s", i, r.bytesOf(want))
	case want == protocol.NoVersion:
		return fmt.Errorf("memory of instance %d holds %s, want it empty", i, e.Data())
	case string(e.Data()) != r.bytesOf(want):
		return fmt.Errorf("memory of instance %d holds %s, want %s", i, e.Data(), r.bytesOf(want))
	default:
		r.memories++
	}
	return nil
}

// compareFlight demands that a tracked read under way may be joined exactly
// when the model says so.
func (r *rehearsal) compareFlight(seen *protocol.State, n int) error {
	a, p := r.actors[n], &seen.Processes[n]
	if p.Phase != protocol.Reading {
		return nil
	}
	f := a.tracking.Load()
	sh := a.cache.flights.shard(r.key)
	sh.mu.Lock()
	open := f != nil && sh.flights[r.key] == f && !f.poisoned && !f.owner.Ended()
	sh.mu.Unlock()
	switch {
	case f == nil:
		p.Flight = protocol.NoFlight // nobody can join what is no flight
	case open != (p.Flight == protocol.Open):
		return fmt.Errorf("%s's read may be joined: %v, in the model %v", a.name, open, p.Flight == protocol.Open)
	}
	return nil
}

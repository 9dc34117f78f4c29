package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/redis"
	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// actor is a process of the model as the real code runs it: a goroutine that
// stops between the steps of the protocol until the play tells it to go on.
type actor struct {
	play  *rehearsal
	name  string
	cache *Cache
	n     int

	events chan spot
	orders chan bool // go on, or give up

	leaving  atomic.Bool // its read is out of time
	strayed  atomic.Bool // and looks again without being told
	pastLoad atomic.Bool // its load is past the tiers
	slow     atomic.Bool // its COMMIT is not answered at once
	lost     atomic.Bool // nor ever
	learned  atomic.Bool // but the database tells what became of it
	landed   atomic.Int32
	tracking atomic.Pointer[flight]

	// Of the play's goroutine; the others are handed over by an event.
	cancel context.CancelFunc
	answer Answer
	err    error
	stored bool   // by a refresh
	token  string // of its guard
}

// spot is where an actor stands still.
type spot int

const (
	offStage        spot = iota // its call has returned
	afterPlainRead              // read untracked, not looked at it yet
	beforeLease                 // to take the lease
	beforeLoad                  // to ask the source
	beforeFill                  // to fill what it has loaded
	afterPastLoad               // loaded past the tiers, to answer
	beforeCommit                // its guard stands, its transaction runs
	beforeUnguard               // committed or rolled back
	afterUnguard                // unguarded, nothing dropped yet
	beforeRefreshed             // to renew what it has loaded
	inCommit                    // COMMIT is sent
)

var spotNames = [...]string{
	"off stage", "after a plain read", "before its lease", "before its load", "before its fill", "after a load past a guard",
	"before its commit", "before its unguard", "after its unguard", "before storing a refresh", "in its commit",
}

func (s spot) String() string { return spotNames[s] }

var errCurtain = errors.New("the play is over")

// stop is called by the actor's goroutine: it tells where it is and waits. It
// returns false when the actor has to give up.
func (a *actor) stop(at spot) bool {
	select {
	case a.events <- at:
	case <-a.play.over:
		return false
	}
	select {
	case goOn := <-a.orders:
		return goOn
	case <-a.play.over:
		return false
	}
}

type actorKey struct{}

// start runs f as the actor. A new context is a new request: readers come back
// with one where the model has them wait.
func (a *actor) start(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), actorKey{}, a))
	a.cancel = cancel
	a.leaving.Store(false)
	a.strayed.Store(false)
	a.pastLoad.Store(false)
	a.tracking.Store(nil)
	a.answer, a.err, a.stored = Answer{}, nil, false
	a.play.running.Go(func() {
		defer cancel()
		f(ctx)
		select {
		case a.events <- offStage:
		case <-a.play.over:
		}
	})
}

// leave ends the time of the actor's read, before it finds what it would have
// to wait for.
func (a *actor) leave() {
	a.leaving.Store(true)
	a.cancel()
}

// tell lets the actor go on, or give up, and waits until it stands still again.
func (a *actor) tell(goOn bool, then spot) error {
	select {
	case a.orders <- goOn:
	case <-time.After(patience):
		return fmt.Errorf("%s does not wait where it should", a.name)
	}
	return a.await(then)
}

// await waits until the actor stands still.
func (a *actor) await(want spot) error {
	select {
	case got := <-a.events:
		if got != want {
			return a.misplaced(got, want)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not come to stand %v", a.name, want)
	}
}

func (a *actor) misplaced(got, want spot) error {
	return fmt.Errorf("%s stands %v, want %v (answer %v, error %v)", a.name, got, want, a.answer.Entry != nil, a.err)
}

// elsewhere tells whether the actor stands still although it should be on its
// way.
func (a *actor) elsewhere() error {
	select {
	case got := <-a.events:
		return fmt.Errorf("%s stands %v, want it reading tracked (error %v)", a.name, got, a.err)
	default:
		return nil
	}
}

// prompter is a tier that stops actors before or after their steps. It knows
// them by their context, and where that is not passed on by their tokens. Calls
// of nobody it knows pass.
type prompter struct {
	SharedTier
	redis *redis.Tier

	mu     sync.Mutex
	actors map[string]*actor // by token
}

func (p *prompter) note(token string, a *actor) *actor {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.actors[token] = a
	return a
}

func (p *prompter) of(token string) *actor {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.actors[token]
}

// dismiss forgets the tokens of a play.
func (p *prompter) dismiss(play *rehearsal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.actors, func(_ string, a *actor) bool { return a.play == play })
}

func actorOf(ctx context.Context) *actor {
	a, _ := ctx.Value(actorKey{}).(*actor)
	return a
}

// calm is the context of a step itself: deadlines of the callers count for
// what they wait for, not for how slow the play is.
func calm(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (p *prompter) Get(ctx context.Context, key string) (shared.Content, error) {
	a := actorOf(ctx)
	if a != nil && a.leaving.Load() {
		return shared.Content{}, ErrTimeout
	}
	r, err := p.SharedTier.Get(calm(ctx), key)
	if a != nil && !a.stop(afterPlainRead) {
		return shared.Content{}, errCurtain
	}
	return r, err
}

func (p *prompter) Value(ctx context.Context, key string) (shared.Content, error) {
	a := actorOf(ctx)
	if a != nil && a.leaving.Load() { // what it has met has to be read tracked
		a.strayed.Store(true)
		return shared.Content{}, ErrTimeout
	}
	r, err := p.SharedTier.Value(calm(ctx), key)
	if a != nil && !a.stop(afterPlainRead) {
		return shared.Content{}, errCurtain
	}
	return r, err
}

func (p *prompter) Track(ctx context.Context, keys []string) []shared.Found {
	a := actorOf(ctx)
	if a != nil && a.leaving.Load() { // woken before it noticed that its time is over
		return []shared.Found{{Err: ErrTimeout}}
	}
	if a != nil {
		sh := a.cache.flights.shard(keys[0])
		sh.mu.Lock()
		f := sh.flights[keys[0]]
		sh.mu.Unlock()
		if f == nil { // a write has poisoned it before it was sent
			f = &flight{key: keys[0], poisoned: true}
		}
		a.tracking.Store(f)
	}
	return p.SharedTier.Track(calm(ctx), keys)
}

func (p *prompter) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	if a := actorOf(ctx); a != nil && !p.note(token, a).stop(beforeLease) {
		return shared.Content{}, errCurtain
	}
	return p.SharedTier.Acquire(calm(ctx), key, token, instead)
}

func (p *prompter) Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error) {
	if a := p.of(token); a != nil && !a.stop(beforeFill) {
		return false, errCurtain
	}
	return p.SharedTier.Fill(calm(ctx), key, token, value, ttl)
}

func (p *prompter) Guard(ctx context.Context, key, token string) error {
	if a := actorOf(ctx); a != nil {
		p.note(token, a).token = token
	}
	return p.SharedTier.Guard(calm(ctx), key, token)
}

// Unguard succeeds after the play: else it would be tried again for ever.
func (p *prompter) Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error {
	a := p.of(token)
	if a != nil && !a.stop(beforeUnguard) {
		return nil
	}
	err := p.SharedTier.Unguard(calm(ctx), key, token, value, ttl, own)
	if a != nil {
		a.stop(afterUnguard)
	}
	return err
}

func (p *prompter) Claim(ctx context.Context, key, token string, was []byte) (int64, bool, error) {
	if a := actorOf(ctx); a != nil {
		p.note(token, a)
	}
	return p.SharedTier.Claim(calm(ctx), key, token, was)
}

func (p *prompter) Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error) {
	a := p.of(token)
	if a != nil && !a.stop(beforeRefreshed) {
		return false, errCurtain
	}
	stored, err := p.SharedTier.Refresh(calm(ctx), key, token, was, expires, value, ttl)
	if a != nil {
		a.stored = stored
	}
	return stored, err
}

// register is the system of record of all plays: args name the actor, and so
// the play with its database. A record is a version.
type register struct{}

func (register) Load(_ context.Context, args source.Args) ([]byte, error) {
	a := args[0].(*actor)
	if a.leaving.Load() || !a.stop(beforeLoad) {
		return nil, errCurtain
	}
	v := a.play.db.Load()
	if a.pastLoad.Load() && !a.stop(afterPastLoad) {
		return nil, errCurtain
	}
	if record := a.play.record(v); record != nil {
		return record, nil
	}
	return nil, source.ErrNoRecord
}

func (register) Put(_ context.Context, args source.Args, _ jsonvalue.Node) (source.Change, error) {
	return begin(args[0].(*actor), false)
}

func (register) Delete(_ context.Context, args source.Args) (source.Change, error) {
	return begin(args[0].(*actor), true)
}

// begin is a transaction from its beginning up to its commit. One that cannot
// renew its guard ends as one whose statement fails.
func begin(a *actor, deletes bool) (source.Change, error) {
	if !a.stop(beforeCommit) {
		return nil, errGuardLost
	}
	return &entering{a: a, deletes: deletes}, nil
}

// entering is a change of the register.
type entering struct {
	a       *actor
	version int32
	deletes bool
}

func (e *entering) Commit(context.Context) error {
	if a := e.a; a.slow.Load() {
		goOn := a.stop(inCommit)
		e.version = a.landed.Load()
		switch {
		case a.lost.Load():
			return source.ErrUnknownOutcome
		case !goOn || e.version == 0:
			return errCurtain // refused
		}
		return nil
	}
	e.version = e.a.play.db.Add(1)
	return nil
}

func (e *entering) Record() []byte {
	if e.deletes {
		return nil
	}
	return e.a.play.record(e.version)
}

func (e *entering) Over(context.Context) (bool, error) { return e.a.learned.Load(), nil }

func (e *entering) Rollback() {}

// Marked implements source.Marked.
func (e *entering) Marked() bool { return e.a.play.fed }

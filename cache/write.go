package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// Put stores body as the record and answers with the record as the database has it.
// When it returns without error, no read on this instance is ever answered with
// anything older (promise C2). ErrUnconfirmed says that the write is committed, or
// may be: it must not be repeated blindly. The answer has no Entry if the source, an
// origin, did not tell what the record is now.
func (c *Cache) Put(ctx context.Context, r *Resource, key string, args source.Args, body jsonvalue.Node) (Answer, error) {
	w := writer{Cache: c, openWrite: &openWrite{r: r, key: key, token: shared.NewToken()}}
	record, known, err := w.run(ctx, func(ctx context.Context) (source.Change, error) { return r.Records.Put(ctx, args, body) })
	if err != nil || !known {
		return Answer{FromDB: true, Tier: TierSource, Shared: c.shared}, err
	}
	e := memory.NewEntry(r.Shape, key, nil, memory.FlagMissing)
	if record != nil {
		e = c.store.NewAnswer(r.Shape, key, record, 0)
	}
	return Answer{Entry: e, FromDB: true, Tier: TierSource, Shared: c.shared}, nil
}

// Delete removes the record, with the promise of Put. source.ErrNoRecord tells that
// there was none.
func (c *Cache) Delete(ctx context.Context, r *Resource, key string, args source.Args) error {
	w := writer{Cache: c, openWrite: &openWrite{r: r, key: key, token: shared.NewToken()}}
	_, _, err := w.run(ctx, func(ctx context.Context) (source.Change, error) { return r.Records.Delete(ctx, args) })
	return err
}

// writer is one write on its way: guard, transaction, COMMIT, unguard.
//
//	place at the gate ─► guard set ─► transaction ─► COMMIT sent ─► guard out ─► answer
//	     refused: 503       │            │ failed        │ outcome unknown   │ not confirmed
//	                        ▼            ▼               ▼                   ▼
//	                   may expire    guard out     unconfirmed (504), see openwrite.go
//
// The guard comes before the transaction reads anything. So two writers that overlap
// see each other's guards, and neither puts a record in the shared tier that the other
// has just replaced.
type writer struct {
	*Cache
	*openWrite
}

// run returns the record that the write has left; known is false if the source does not
// tell.
func (w *writer) run(ctx context.Context, begin func(context.Context) (source.Change, error)) (record []byte, known bool, err error) {
	if _, obeys := w.r.Records.(source.Conditional); !obeys && source.ConditionOf(ctx) != nil {
		return nil, false, fmt.Errorf("the source of resource %q takes no conditions", w.r.Name)
	}
	ctx = source.WithWriter(ctx, w.token)
	// A source that is known to be away is not written to: the guard would take
	// the place of a copy that can still be served.
	g := w.gateOf(w.r)
	if err := g.Check(); err != nil {
		return nil, false, fmt.Errorf("write refused: %w", err)
	}
	// A place first: a guard keeps readers waiting from the moment it stands.
	if err := g.EnterWrite(ctx); err != nil {
		return nil, false, fmt.Errorf("write refused: %w", err)
	}
	defer g.LeaveWrite()
	if err := w.writes.begin(w.openWrite); err != nil {
		return nil, false, fmt.Errorf("write refused: %w", err)
	}
	defer w.writes.end(w.openWrite) // also if the source panics: then the guard expires
	set := time.Now()
	if err := w.tier.Guard(ctx, w.key, w.token); err != nil {
		// It may stand all the same; then it expires.
		return nil, false, fmt.Errorf("%w: write refused, setting the guard: %w", ErrUnavailable, err)
	}
	w.flights.Changed(w.key)
	guarded, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	w.writes.guarded(w.openWrite, set, lost)

	change, err := begin(guarded)
	_, forwarded := change.(source.Forwarded)
	if err == nil && !forwarded || errors.Is(err, source.ErrDown) { // other errors may come before the source is asked
		g.Report(err)
	}
	if err != nil {
		_ = w.unguard(nil, source.Term{}, false)
		return nil, false, w.refused(ctx, err)
	}
	if cause := w.writes.sending(w.openWrite, guarded); cause != nil {
		change.Rollback()
		_ = w.unguard(nil, source.Term{}, false)
		return nil, false, w.refused(ctx, cause)
	}
	err = w.commit(ctx, change)
	if forwarded && (err == nil || errors.Is(err, source.ErrDown)) { // only now the source has heard of it
		g.Report(err)
	}
	if err != nil {
		return nil, false, err
	}
	t, known := left(change)
	if !known {
		w.cfg.Log.Warn("a record was written, and could not be read after that", "resource", w.r.Name)
	}
	if err := w.unguard(kept(change, t, known), t, marked(change) && !w.r.Unwatched); err != nil {
		return nil, false, fmt.Errorf("%w: removing the guard: %w", ErrUnconfirmed, err)
	}
	return change.Record(), known, nil
}

// marked tells whether the change feed will tell of a change by its writer's token.
func marked(change source.Change) bool {
	m, ok := change.(source.Marked)
	return ok && m.Marked()
}

// left is what a change has left behind.
func left(change source.Change) (t source.Term, known bool) {
	if f, ok := change.(source.Forwarded); ok {
		return f.Left()
	}
	return source.Term{}, true
}

// kept is what may stand in the shared tier after a change; nil: nothing.
func kept(change source.Change, t source.Term, known bool) []byte {
	if !known || t.Unshared != "" {
		return nil
	}
	return change.Record()
}

// commit ends the transaction; if that fails it takes the guard out, too. The client's deadline does not
// count here: a COMMIT that is cut short leaves its outcome open.
func (w *writer) commit(ctx context.Context, change source.Change) error {
	committing, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.Lease/2)
	defer cancel()
	err := change.Commit(committing)
	switch {
	case errors.Is(err, source.ErrUnknownOutcome):
		w.writes.markUnconfirmed(w.openWrite, change)
		w.flights.Changed(w.key)
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	case err != nil:
		_ = w.unguard(nil, source.Term{}, false)
		return w.refused(ctx, err)
	}
	return nil
}

// refused sorts the failure of a write: a client's mistake is returned as it is, all
// else becomes ErrTimeout or ErrUnavailable.
func (w *writer) refused(ctx context.Context, err error) error {
	var body *source.BodyError
	var other *source.SpellingError
	switch {
	case errors.As(err, &body), errors.As(err, &other), errors.As(err, new(*source.ConditionError)), errors.As(err, new(*source.StatusError)), errors.Is(err, source.ErrNoRecord), errors.Is(err, source.ErrReadOnly), errors.Is(err, source.ErrConflict):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%w: writing to the source: %w", ErrTimeout, err)
	}
	return fmt.Errorf("%w: writing to the source: %w", ErrUnavailable, err)
}

// unguard takes the guard out and then drops the local copy. The order matters:
//
//  1. Were the copy dropped first, a read could begin now, meet the guard or a value
//     from before it, and
//  2. the guard is taken out, and
//  3. what that read has found could be stored behind the drop.
//
// Changed poisons every read that is in flight when it is called. If the shared tier
// does not confirm, the key is read past it until it does.
func (w *writer) unguard(record []byte, t source.Term, own bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Second, w.cfg.LinkTimeout))
	defer cancel()
	w.writes.unguarding(w.openWrite)
	if record != nil {
		w.mark(ctx, w.r, w.key, record)
	}
	err := w.tier.Unguard(ctx, w.key, w.token, record, t.Within(w.lifetime(w.r, w.key, false)), own)
	if err != nil {
		w.writes.markUnconfirmed(w.openWrite, nil)
	}
	w.flights.Changed(w.key)
	return err
}

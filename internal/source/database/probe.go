package database

import (
	"context"
	"errors"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// probed is implemented by Records with statements.
type probed interface {
	probe(ctx context.Context, p engine.Prober, refused func(source.Refusal)) error
	writes() bool
	known() *source.Refusals
}

// known is where calls and probes keep what the database refuses of this resource.
func (t *table) known() *source.Refusals { return &t.refusals }

// writes tells whether the account needs more than the right to read.
func (t *table) writes() bool { return t.upsert != nil || t.delete != nil }

// Refusals implements Refusing.
func (t *table) Refusals() []source.Refusal { return t.refusals.List(t.name) }

// Probe asks the database what it makes of the statements of these records and
// keeps what it refuses for Refusals. It tries database.init again if that was
// refused. An error means that the database could not be asked. Each key of a
// resource is reported as refused or as well, so a statement that was mended
// disappears from Refusals with the next probe.
func (db *DB) Probe(ctx context.Context, all ...source.Records) error {
	ctx, cancel := source.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	if err := db.wait(ctx); err != nil {
		return err
	}
	writes := false
	for _, r := range all {
		t, ok := r.(probed)
		writes = writes || ok && t.writes()
	}
	db.writes.Store(writes)
	// First, for the statements below may need what it makes.
	db.retryInit(ctx)
	p, err := db.engine.Prober(ctx, nil)
	if err != nil {
		return db.mark(ctx, err)
	}
	defer p.End()
	for _, r := range all {
		t, ok := r.(probed)
		if !ok {
			continue
		}
		found := map[string]error{}
		if err := t.probe(ctx, p, func(r source.Refusal) { found[r.Key] = r.Err }); err != nil {
			return db.mark(ctx, err)
		}
		for _, key := range [...]string{source.KeySelect, source.KeySelectMany, source.KeyUpsert, source.KeyDelete} {
			t.known().Probed(key, found[key])
		}
	}
	return nil
}

// retryInit tries again what was refused of the set-up, and waits as long as ctx
// allows. The attempt itself has as much time as the first one: a statement that
// builds an index must not be begun and given up again and again. One retry runs
// at a time; callers that come meanwhile wait for the same one.
func (db *DB) retryInit(ctx context.Context) {
	db.mu.Lock()
	if db.closed || db.initRefused.Load() == nil {
		db.mu.Unlock()
		return
	}
	if db.retry == nil {
		over := make(chan struct{})
		db.retry = over
		db.wg.Go(func() {
			defer close(over)
			ctx, cancel := context.WithTimeout(db.ctx, setUpTimeout)
			defer cancel()
			db.noteInit(db.engine.SetUp(ctx, db.cfg.Init, db.cfg.Demo))
			db.mu.Lock()
			defer db.mu.Unlock()
			db.retry = nil
		})
	}
	over := db.retry
	db.mu.Unlock()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// noteInit keeps what the set-up has refused, and tells whether err is of that
// kind: then the server goes on without. A database that was lost or busy on the
// way has refused nothing: the set-up is undone then, and is tried anew.
func (db *DB) noteInit(err error) bool {
	var failed *engine.InitError
	switch {
	case err == nil:
		db.initRefused.Store(nil)
		return true
	case !errors.As(err, &failed):
		return false
	}
	switch db.engine.Fault(err).Class {
	case engine.FaultLost, engine.FaultBusy, engine.FaultSlow:
		return false
	}
	db.initRefused.Store(&source.Refusal{Key: failed.Key, Err: err})
	return true
}

// InitRefusal is what the database refuses of the set-up, nil for nothing.
func (db *DB) InitRefusal() *source.Refusal { return db.initRefused.Load() }

// Rehearse reports all that the database would refuse, before it serves: what
// [database] has run at the start, which is undone, and the statements of all
// records. An error means that the database could not be asked. It goes around
// wait and leaves the state of DB alone: the set-up it runs is undone, so the
// database is no readier than before.
func (db *DB) Rehearse(ctx context.Context, all []source.Records, report func(source.Refusal)) error {
	r := &engine.Rehearsal{Init: db.cfg.Init, Demo: db.cfg.Demo, Report: func(key string, err error) { report(source.Refusal{Key: key, Err: err}) }}
	for _, records := range all {
		if t, ok := records.(probed); ok && t.writes() {
			r.Writes = true
		}
	}
	if err := db.open(); err != nil {
		return err
	}
	p, err := db.engine.Prober(ctx, r)
	if err != nil {
		return db.mark(ctx, err)
	}
	defer p.End()
	for _, records := range all {
		t, ok := records.(probed)
		if !ok {
			continue
		}
		if err := t.probe(ctx, p, report); err != nil {
			return db.mark(ctx, err)
		}
	}
	return nil
}

// examples are values of path parameters, with which nothing is ever run. A
// database types a statement by its columns, yet it may want some value for each
// placeholder; these fit the type of the parameter.
var examples = map[param.Kind]any{param.Int: int64(0), param.String: "", param.UUID: "00000000-0000-0000-0000-000000000000"}

// probe asks about each statement of the resource. The statements go in the order
// of their keys. The select comes first, since its columns are what the others
// are held against.
func (t *table) probe(ctx context.Context, p engine.Prober, report func(source.Refusal)) error {
	refused := func(key string, err error) { report(source.Refusal{Resource: t.name, Key: key, Err: err}) }
	args := t.exampleArgs()
	ask := func(key string, s *sqltext.Statement, q engine.Query, reads bool) ([]string, error) {
		if s == nil {
			return nil, nil
		}
		// Only what is the operator's to mend is a refusal. What the example values do not fit
		// says nothing of the statement.
		names, err := p.Probe(ctx, q, reads)
		if kind := t.db.engine.Fault(err).Class; err != nil && kind == engine.FaultRefused {
			refused(key, err)
		} else if err != nil && (kind == engine.FaultLost || ctx.Err() != nil) {
			return nil, err
		}
		return names, nil
	}
	bind := func(s *sqltext.Statement) engine.Query {
		if s == nil {
			return engine.Query{}
		}
		return engine.QueryOf(s, args, make([]any, len(s.Fields)))
	}
	names, err := ask(source.KeySelect, t.selects, bind(t.selects), true)
	if err != nil {
		return err
	}
	var s *shape
	if names != nil {
		if s, err = newShape(names); err == nil {
			_, err = t.keyIndices(names, s.document)
		}
		if err != nil {
			refused(source.KeySelect, err)
		}
	}
	if t.selectMany != nil {
		names, err := ask(source.KeySelectMany, t.selectMany, engine.ManyQuery(t.selectMany, []any{args[0]}), true)
		if err != nil {
			return err
		}
		// Where the database does not tell the columns of one of the two, there
		// is nothing to compare.
		if s != nil && names != nil {
			if _, ok := s.manySkip(names); !ok {
				refused(source.KeySelectMany, errors.New(strings.TrimPrefix(unlike(names, s.names).Error(), "select_many: ")))
			}
		}
	}
	if _, err := ask(source.KeyUpsert, t.upsert, bind(t.upsert), false); err != nil {
		return err
	}
	_, err = ask(source.KeyDelete, t.delete, bind(t.delete), false)
	return err
}

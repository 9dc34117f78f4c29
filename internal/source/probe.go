package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/sqltext"
)

// prober asks over one connection what a database makes of statements, without
// running them.
type prober interface {
	// probe returns the names of the columns that a query would return. They are
	// nil for a write, and where the database does not tell.
	probe(ctx context.Context, q query, reads bool) ([]string, error)
	// end gives the connection back, and undoes what a rehearsal has done.
	end()
}

// rehearsal has a prober run the set-up first and undo it in the end: statements
// may need what the set-up creates.
type rehearsal struct {
	init   []string
	demo   bool
	writes bool                        // some statement writes
	report func(key string, err error) // key: init[0], demo, url
}

// initError is a failure of what [database] has the server run at its start.
type initError struct {
	key string // init[0], demo
	err error
}

func (e *initError) Error() string {
	if e.key == "demo" {
		return fmt.Sprintf("creating the demo's table: %v", e.err)
	}
	return fmt.Sprintf("running database.%s: %v", e.key, e.err)
}

func (e *initError) Unwrap() error { return e.err }

func initKey(i int) string { return fmt.Sprintf("init[%d]", i) }

// probed is implemented by Records with statements.
type probed interface {
	probe(ctx context.Context, p prober, refused func(Refusal)) error
	writes() bool
	known() *Refusals
}

func (t *table) known() *Refusals { return &t.refusals }
func (t *table) writes() bool     { return t.upsert != nil || t.delete != nil }

// Refusals implements Refusing.
func (t *table) Refusals() []Refusal { return t.refusals.List(t.name) }

// Probe asks the database what it makes of the statements of these records and
// keeps what it refuses for Refusals. It tries database.init again if that was
// refused. An error means that the database could not be asked.
func (db *DB) Probe(ctx context.Context, all ...Records) error {
	ctx, cancel := WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	if err := db.wait(ctx); err != nil {
		return err
	}
	db.retryInit(ctx)
	p, err := db.engine.prober(ctx, nil)
	if err != nil {
		return db.blame(ctx, err)
	}
	defer p.end()
	for _, r := range all {
		t, ok := r.(probed)
		if !ok {
			continue
		}
		found := map[string]error{}
		if err := t.probe(ctx, p, func(r Refusal) { found[r.Key] = r.Err }); err != nil {
			return db.blame(ctx, err)
		}
		for _, key := range [...]string{KeySelect, KeySelectMany, KeyUpsert, KeyDelete} {
			t.known().Probed(key, found[key])
		}
	}
	return nil
}

// retryInit tries again what was refused of the set-up, and waits as long as ctx
// allows. The attempt itself has as much time as the first one: a statement that
// builds an index must not be begun and given up again and again.
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
			db.noteInit(db.engine.setUp(ctx, db.cfg.Init, db.cfg.Demo))
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
// kind: then the server goes on without.
func (db *DB) noteInit(err error) bool {
	var failed *initError
	switch {
	case err == nil:
		db.initRefused.Store(nil)
		return true
	case !errors.As(err, &failed):
		return false
	}
	switch db.engine.fault(err).kind {
	case faultLost, faultBusy, faultSlow:
		return false
	}
	db.initRefused.Store(&Refusal{Key: failed.key, Err: err})
	return true
}

// InitRefusal is what the database refuses of the set-up, nil for nothing.
func (db *DB) InitRefusal() *Refusal { return db.initRefused.Load() }

// Rehearse reports all that the database would refuse, before it serves: what
// [database] has run at the start, which is undone, and the statements of all
// records. An error means that the database could not be asked.
func (db *DB) Rehearse(ctx context.Context, all []Records, report func(Refusal)) error {
	r := &rehearsal{init: db.cfg.Init, demo: db.cfg.Demo, report: func(key string, err error) { report(Refusal{Key: key, Err: err}) }}
	for _, records := range all {
		if t, ok := records.(probed); ok && t.writes() {
			r.writes = true
		}
	}
	if err := db.open(); err != nil {
		return err
	}
	p, err := db.engine.prober(ctx, r)
	if err != nil {
		return db.blame(ctx, err)
	}
	defer p.end()
	for _, records := range all {
		t, ok := records.(probed)
		if !ok {
			continue
		}
		if err := t.probe(ctx, p, report); err != nil {
			return db.blame(ctx, err)
		}
	}
	return nil
}

// examples are values of path parameters, with which nothing is ever run.
var examples = map[param.Kind]any{param.Int: int64(0), param.String: "", param.UUID: "00000000-0000-0000-0000-000000000000"}

// probe asks about each statement of the resource.
func (t *table) probe(ctx context.Context, p prober, report func(Refusal)) error {
	refused := func(key string, err error) { report(Refusal{t.name, key, err}) }
	args := make(Args, len(t.params))
	for i, p := range t.params {
		args[i] = examples[p.Type]
	}
	ask := func(key string, s *sqltext.Statement, q query, reads bool) ([]string, error) {
		if s == nil {
			return nil, nil
		}
		names, err := p.probe(ctx, q, reads)
		if kind := t.db.engine.fault(err).kind; err != nil && kind == faultRefused {
			refused(key, err)
		} else if err != nil && (kind == faultLost || ctx.Err() != nil) {
			return nil, err
		}
		return names, nil
	}
	bind := func(s *sqltext.Statement) query {
		if s == nil {
			return query{}
		}
		return queryOf(s, args, make([]any, len(s.Fields)))
	}
	names, err := ask(KeySelect, t.selects, bind(t.selects), true)
	if err != nil {
		return err
	}
	var s *shape
	if names != nil {
		if s, err = newShape(names); err == nil {
			_, err = t.keyIndices(names, s.document)
		}
		if err != nil {
			refused(KeySelect, err)
		}
	}
	if t.selectMany != nil {
		names, err := ask(KeySelectMany, t.selectMany, manyQuery(t.selectMany, []any{args[0]}), true)
		if err != nil {
			return err
		}
		if s != nil && names != nil {
			if _, ok := s.manySkip(names); !ok {
				refused(KeySelectMany, errors.New(strings.TrimPrefix(unlike(names, s.names).Error(), "select_many: ")))
			}
		}
	}
	if _, err := ask(KeyUpsert, t.upsert, bind(t.upsert), false); err != nil {
		return err
	}
	_, err = ask(KeyDelete, t.delete, bind(t.delete), false)
	return err
}

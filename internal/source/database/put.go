package database

import (
	"context"
	"errors"
	"slices"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// A PUT goes through these steps, and a failure of any of them leaves the database
// as it was:
//
//  1. The body is parsed, once, and held against the path and the statement.
//  2. What the engine has to know of columns is learned. That is before the
//     transaction, which may hold the only connection.
//  3. The transaction begins. The client's condition is judged on the record that
//     stands (see conditional), and its row has to go by the name of the path (see
//     beforePut).
//  4. Members become bind values by the types of the columns, and the upsert runs.
//  5. The select reads the record back; its row has to go by that name, too.
//  6. Members that neither the statement nor the record knows are refused.
//
// Steps 3 to 6 are done again, in a new transaction, when an error says that this
// may help: nothing is committed before Change.Commit.

// Put implements Records. A fault of the body is a *BodyError, and a condition
// that fails a *ConditionError. The Change holds the record as a read would show
// it, which is what the client gets and what is cached.
func (t *table) Put(ctx context.Context, args source.Args, body jsonvalue.Node) (source.Change, error) {
	if t.upsert == nil {
		return nil, source.ErrReadOnly
	}
	ctx, cancel := t.deadline(ctx)
	defer cancel()
	m, err := t.body.read(body, args)
	if err != nil {
		return nil, err
	}
	if err := t.ready(ctx, args); err != nil {
		return nil, t.failed("changing", err)
	}
	// Not within the transaction, which may hold the only connection.
	if err := t.learnDocuments(ctx); err != nil {
		t.db.observe(err)
		return nil, t.failed("storing", t.mark(ctx, source.KeySelect, err))
	}
	if err := t.learnCatalog(ctx, args); err != nil {
		if fault, is := errors.AsType[*source.BodyError](t.unfit(err)); is {
			return nil, fault
		}
		return nil, t.failed("storing", t.mark(ctx, source.KeyUpsert, err))
	}
	// Members that no part of the upsert takes are refused here if the columns
	// are known, before a transaction costs anything; else the record decides in
	// write.
	p := put{table: t, args: args, members: m}
	if len(m.unknown) > 0 {
		// shownNames is asked only for a body with unknown members: ordinary
		// writes do not pay for it.
		p.shown, p.known = t.shownNames(ctx, args)
		if err := t.body.refuseUnknown(m.unknown, p.mayShow); err != nil {
			return nil, err
		}
	}
	if p.standing, err = t.beforePut(ctx, args); err != nil {
		return nil, err
	}
	c, err := t.change(ctx, args, p.write)
	var refused refusedError
	if errors.As(err, &refused) {
		return nil, t.refuse(ctx, refused)
	}
	return c, err
}

// learnCatalog reads the catalog for the first Put. Within its transaction the
// select would lock the table as readers do, and a write that follows it, with an
// ALTER TABLE waiting between the two, is a deadlock to MySQL.
func (t *table) learnCatalog(ctx context.Context, args source.Args) error {
	if t.catalog.Load() != nil || t.db.engine.Dialect() != sqltext.MySQL {
		return nil
	}
	res, err := t.read(ctx, t.selectQuery(args))
	if err != nil {
		return err
	}
	var c *engine.Catalog
	err = t.db.tryAgain(ctx, func(r engine.Remedy) (err error) {
		if r == engine.RemedyConnection {
			t.db.engine.Lost()
		}
		c, err = t.db.engine.Catalog(ctx, t.upsert, res)
		return err
	})
	t.db.observe(err)
	t.catalog.Store(c)
	return err
}

// put is one call of Put. write may run twice on it, so it holds nothing that an
// attempt leaves behind.
type put struct {
	table   *table
	args    source.Args
	members members
	shown   []string // names of the select's columns
	known   bool     // shown is right
	// standing is what beforePut returned.
	standing func(context.Context, engine.Transaction) (bool, error)
}

// shownNames returns the names of the columns that a read shows, or false where
// only a record tells them: it is a document, or the database does not say.
func (t *table) shownNames(ctx context.Context, args source.Args) (names []string, ok bool) {
	names, ok = t.selects.Select().Names()
	// A load has seen the columns already; that is cheaper than asking, and surer
	// than the text.
	if s := t.shape.Load(); s != nil {
		names, ok = s.names, true
	}
	if !ok {
		var err error
		if names, err = t.db.engine.Columns(ctx, t.selectQuery(args)); err != nil {
			return nil, false
		}
	}
	return names, engine.DocumentColumn(names, false) < 0
}

// mayShow tells whether a read may show a member, as far as that is known
// without a record.
func (p *put) mayShow(path []string) bool {
	return !p.known || slices.Contains(p.shown, path[0])
}

// write binds and stores the members, and reads the record back. It is step 3 to
// 6 above. Whatever it returns, it has committed nothing.
func (p *put) write(ctx context.Context, tx engine.Transaction) ([]byte, error) {
	t := p.table
	absent, err := p.standing(ctx, tx)
	if err != nil {
		return nil, t.unfit(err)
	}
	q := engine.QueryOf(t.upsert, p.args, make([]any, len(t.upsert.Fields)))
	b := engine.Binding{
		Statement: t.upsert, Values: p.members.values,
		Shown: t.selectQuery(p.args), One: !t.many, Catalog: t.catalog.Load(),
	}
	// Put has learned them before the transaction, so the pointer is set.
	b.Shown.Documents = *t.learned.Load()
	n := int64(0)
	if err = tx.Bind(ctx, &b, &q); err == nil {
		n, err = tx.Exec(ctx, q)
	}
	if err = p.failed(ctx, q, err); err != nil {
		return nil, t.recheck(err)
	}
	t.refusals.Cleared(source.KeyUpsert)
	// Read back rather than put together from the body: defaults, triggers and
	// types change values, and the cache must hold what a read would find.
	res, record, err := t.stored(ctx, tx, p.args)
	if err != nil {
		return nil, err
	}
	if record == nil && absent && n > 0 {
		// What was stored is not found by the name it was sent to: a trigger
		// has changed it, or it was cut off. It may be another's row by now.
		return nil, &source.SpellingError{}
	}
	if err := p.unaltered(ctx, tx, &b, res); err != nil {
		return nil, err
	}
	return record, t.body.refuseUnknown(p.members.unknown, func(path []string) bool {
		return shows(record, path) || len(path) == 1 && p.known && slices.Contains(p.shown, path[0])
	})
}

// unaltered compares what the select shows with what it showed when the catalog
// was read. If somebody has altered the table since, the members may have been
// bound as what its columns are no more. From here on the transaction keeps the
// table from being altered. The error is FaultBusy with RemedyPlan, so
// change.repeat binds everything anew, by the catalog that is stored here.
func (p *put) unaltered(ctx context.Context, tx engine.Transaction, b *engine.Binding, res *engine.Result) error {
	t := p.table
	if b.Catalog != nil && (!slices.Equal(res.Names, b.Catalog.Names) || !slices.Equal(res.Types, b.Catalog.Types)) {
		now, err := tx.Catalog(ctx, t.upsert, res)
		if err != nil {
			return t.failed("storing", t.mark(ctx, source.KeyUpsert, err))
		}
		old := b.Catalog
		if b.Catalog = now; !now.Same(old, t.upsert) {
			t.catalog.Store(now)
			return engineError{errAltered, engine.Fault{Class: engine.FaultBusy, Remedy: engine.RemedyPlan}}
		}
	}
	t.catalog.Store(b.Catalog)
	return nil
}

// recheckEvery is how often a resource lets a refusal be looked at twice. It
// bounds the cost of a client that sends bad bodies to one extra attempt per
// second and resource.
const recheckEvery = time.Second

// recheck lets a refused body be bound anew, by types that are asked for anew: a
// column may have another type than the one that is remembered, and as long as
// nothing is stored nothing else would tell. A client that sends bad bodies all
// the time must not make the database do everything twice. SQLite is left out
// because it reads the catalog in each write, so its types are never old. The
// swap lets one of several concurrent refusals through.
func (t *table) recheck(err error) error {
	var unfit *source.BodyError
	var refused refusedError
	if t.db.engine.Dialect() == sqltext.SQLite || !errors.As(err, &unfit) && !errors.As(err, &refused) {
		return err
	}
	last, now := t.rechecked.Load(), time.Now().UnixNano()
	if now-last < int64(recheckEvery) || !t.rechecked.CompareAndSwap(last, now) {
		return err
	}
	t.catalog.Store(nil)
	return engineError{err, engine.Fault{Remedy: engine.RemedyPlan}}
}

var errAltered = errors.New("the table was altered while a record was written")

// refusedError is the database's refusal of a member. Which one it is about is
// found out after the transaction: only then there is a connection to ask on.
type refusedError struct {
	err    error
	reason string
	query  engine.Query
}

// Error is the database's text, for the log.
func (e refusedError) Error() string { return e.err.Error() }

// Unwrap returns the database's error.
func (e refusedError) Unwrap() error { return e.err }

// failed judges an error of binding and storing. A *BodyError comes from binding
// and passes as it is. What the database refuses of a value becomes a
// refusedError; all else is marked for log and breaker.
func (p *put) failed(ctx context.Context, q engine.Query, err error) error {
	var fault *source.BodyError
	if errors.As(err, &fault) {
		return err
	}
	t := p.table
	t.db.observe(err)
	if err == nil {
		return nil
	}
	if fault := t.db.engine.Fault(err); fault.Class >= engine.FaultData {
		return refusedError{err, fault.Reason, q}
	}
	return t.failed("storing", t.mark(ctx, source.KeyUpsert, err))
}

// stored reads the record back inside the transaction that wrote it. The record
// is nil where the upsert leaves no row that the select finds. The Result is
// returned for unaltered, which compares its columns.
func (t *table) stored(ctx context.Context, tx engine.Transaction, args source.Args) (*engine.Result, []byte, error) {
	q := t.selectQuery(args)
	q.Documents = *t.learned.Load()
	res, err := tx.Query(ctx, q)
	t.db.observe(err)
	if err != nil {
		return nil, nil, t.failed("reading back", t.mark(ctx, source.KeySelect, err))
	}
	record, err := t.record(res, args, t.inWrite(ctx, tx))
	if errors.Is(err, source.ErrNoRecord) {
		return res, nil, nil
	}
	if err != nil {
		return nil, nil, t.failed("reading back", err)
	}
	return res, record, nil
}

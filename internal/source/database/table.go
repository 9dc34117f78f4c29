package database

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Spec describes a resource whose records are in the database. Statements use
// placeholders: {name} for a path parameter and, in Upsert, {body}, {body.a.b}
// and {body.a?} for the request's body.
type Spec struct {
	Name       string
	Params     []param.Param
	Select     string
	SelectMany string // "": no LoadMany. Needs exactly one parameter
	Upsert     string // "": Put answers ErrReadOnly
	Delete     string // "": Delete answers ErrReadOnly
	Envelope   string // wraps the record in answers to reads; "": nothing does
	Many       bool   // rows = "many": the record is an array of all rows
	Timeout    time.Duration
	// KeyColumns names, by path parameter, the column of the result that shows
	// its value, or in a record that is a document the member, dots descending.
	// What is not named is derived from Select. "" says that one row answers to
	// one spelling only, so that nothing has to be shown.
	KeyColumns map[string]string
}

// table is a resource in the database. All but the atomics and refusals is set by
// Records and never changes, so any number of calls share it.
type table struct {
	db     *DB
	name   string
	params []param.Param
	many   bool
	// timeout is that of the resource or, without one, of [database].
	timeout time.Duration
	// envelope wraps the record in answers to reads
	envelope string

	selects, selectMany, upsert, delete *sqltext.Statement

	keys      []keyColumn // one for each path parameter
	body      bodyReader
	catalog   atomic.Pointer[engine.Catalog]  // that the latest Put bound by
	rechecked atomic.Int64                    // when recheck last let a refusal be repeated
	learned   atomic.Pointer[map[string]bool] // see learnDocuments
	shape     atomic.Pointer[shape]           // of the latest load
	refusals  source.Refusals
	turns     turns // of the records that are written
}

// Records prepares a resource. It parses every statement and reports all faults
// at once, each with the resource and the key; it asks the database nothing. The
// result implements ManyRecords if SelectMany is set. Several faults are joined,
// each a *source.SpecError, so that an operator mends a file in one round.
func (db *DB) Records(spec Spec) (source.Records, error) {
	t := &table{db: db, name: spec.Name, params: slices.Clone(spec.Params), many: spec.Many, envelope: spec.Envelope, timeout: spec.Timeout}
	if t.timeout <= 0 {
		t.timeout = db.cfg.Timeout
	}
	faults := checkParams(spec.Params)
	read := func(key, text string, withBody bool) *sqltext.Statement {
		s, err := sqltext.Parse(db.engine.Dialect(), text, spec.Params, withBody)
		if err != nil {
			faults = append(faults, keyed(key, err)...)
			return nil
		}
		return s
	}
	if t.selects = read("select", spec.Select, false); t.selects != nil {
		faults = append(faults, unbound("select", t.selects, spec.Params)...)
		var unknown []error
		t.keys, unknown = keyColumns(spec, t.selects)
		faults = append(faults, unknown...)
	}
	if spec.SelectMany != "" {
		if t.selectMany = read("select_many", spec.SelectMany, false); t.selectMany != nil {
			faults = append(faults, checkMany(t.selectMany, spec.Params)...)
		}
	}
	if spec.Upsert != "" {
		t.upsert = read("upsert", spec.Upsert, true)
		faults = append(faults, unbound("upsert", t.upsert, spec.Params)...)
	}
	if spec.Delete != "" {
		t.delete = read("delete", spec.Delete, false)
		faults = append(faults, unbound("delete", t.delete, spec.Params)...)
	}
	// All faults are told at once, and in the order of the keys.
	for i, err := range faults {
		key, text, _ := strings.Cut(err.Error(), ": ") // as all of them are written
		faults[i] = &source.SpecError{Resource: spec.Name, Key: key, Text: text}
	}
	if t.writes() {
		if err := db.engine.WantsWrites(); err != nil {
			faults = append(faults, &source.SpecError{Resource: spec.Name, Key: writeKey(spec), Text: err.Error()})
		}
		db.writes.Store(true)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	t.body = t.newBodyReader()
	if t.selectMany != nil {
		return manyTable{t}, nil
	}
	return t, nil
}

// writeKey is the key of a statement that writes.
func writeKey(spec Spec) string {
	if spec.Upsert != "" {
		return source.KeyUpsert
	}
	return source.KeyDelete
}

// keyed names the key in each of the faults that parse joined. A single error
// counts as a list of one.
func keyed(key string, err error) (faults []error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		faults = append(faults, fmt.Errorf("%s: %w", key, err))
	}
	return faults
}

// checkParams refuses parameters that no statement could tell from the body, and types
// that no engine can bind.
func checkParams(params []param.Param) (faults []error) {
	for _, p := range params {
		if p.Name == sqltext.BodyName {
			faults = append(faults, fmt.Errorf("path: the parameter {%s} has the name of the request's body; rename it", p.Name))
		}
		if p.Type != "int" && p.Type != "string" && p.Type != "uuid" {
			faults = append(faults, fmt.Errorf("path: the parameter {%s} has the unknown type %q; write int, string or uuid", p.Name, p.Type))
		}
	}
	return faults
}

// checkMany finds the one place of a select_many where a list of values can
// stand. The values of a list all belong to one parameter; with two, a pair of
// values per record would be needed.
func checkMany(s *sqltext.Statement, params []param.Param) []error {
	if len(params) != 1 {
		return []error{fmt.Errorf("select_many: the path has %d parameters, and a many-read needs exactly one", len(params))}
	}
	if err := s.FindMany(); err != nil {
		return []error{fmt.Errorf("select_many: %w", err)}
	}
	return nil
}

// unbound finds path parameters that a statement ignores: a write would change
// other records than the one it names, a read would serve one row under all
// names.
func unbound(key string, s *sqltext.Statement, params []param.Param) (faults []error) {
	for i, p := range params {
		if s != nil && !s.Binds(i) && p.Name != sqltext.BodyName { // that name is a fault already
			faults = append(faults, fmt.Errorf("%s: the path parameter {%s} is not bound", key, p.Name))
		}
	}
	return faults
}

// newBodyReader gathers what a body is held against. Columns that a statement compares
// with a path parameter are its other names; where alternatives stand beside the
// comparison (OR) they prove nothing, if the upsert itself says which column it is.
func (t *table) newBodyReader() bodyReader {
	r := bodyReader{params: t.params, columns: map[string]int{}}
	if t.upsert != nil {
		r.fields = t.upsert.Fields
		for i, at := range t.upsert.Destinations {
			if param := t.upsert.Slots[i].Param; param >= 0 && at.Form == sqltext.Direct && at.Column != "" {
				r.columns[at.Column] = param
			}
		}
	}
	r.known, r.envelope = newKnownMember(r.fields), t.envelope
	stored := slices.Collect(maps.Values(r.columns))
	for _, s := range []*sqltext.Statement{t.delete, t.selects} {
		if s != nil {
			for column, param := range s.Compared() {
				if !s.HasAlternatives() || !slices.Contains(stored, param) {
					r.columns[column] = param
				}
			}
		}
	}
	return r
}

// deadline bounds one call. ctx may end sooner; the timeout only ever shortens
// it. The caller has to call the cancel function.
func (t *table) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return source.WithTimeout(ctx, t.timeout)
}

// ready checks args and waits for the database's set-up. A wrong number of
// arguments is a bug of the caller, since routes and Spec come from one
// configuration.
func (t *table) ready(ctx context.Context, args source.Args) error {
	if len(args) != len(t.params) {
		panic(fmt.Sprintf("BUG: resource %q has %d path parameters and got %d", t.name, len(t.params), len(args)))
	}
	return t.db.wait(ctx)
}

// failed says in the log what was being done to which resource. Sentinels stay in
// reach of errors.Is.
func (t *table) failed(doing string, err error) error {
	return fmt.Errorf("%s a record of resource %q: %w", doing, t.name, err)
}

// mark is DB.mark for an error of the statement under key, and remembers what an
// operator has to mend. What is not the operator's to mend leaves the refusals as
// they are: an outage says nothing of a statement.
func (t *table) mark(ctx context.Context, key string, err error) error {
	kind := t.db.engine.Fault(err).Class
	err = t.db.mark(ctx, err)
	if kind == engine.FaultRefused && errors.Is(err, source.ErrFault) {
		t.refusals.Met(key, err)
	}
	return err
}

// record writes a result of the resource's select for args, if it is theirs. What
// cannot be written stays so until an operator mends the statement or the data.
// find is asked only if the row shows another key than args.
func (t *table) record(res *engine.Result, args source.Args, find lookup) ([]byte, error) {
	s, err := t.shapeOf(res.Names)
	if err != nil {
		return nil, err
	}
	if err := t.alone(res); err != nil {
		return nil, err
	}
	if err := t.verify(s, res.Rows, args, find); err != nil {
		return nil, err
	}
	record, err := s.record(res.Rows, t.many)
	if err != nil && !errors.Is(err, source.ErrNoRecord) && !errors.Is(err, source.ErrNotJSON) {
		return nil, source.Mark(err, source.ErrFault)
	}
	return record, err
}

// shapeOf returns the shape of rows with these columns. It is kept until the
// columns change: somebody may alter the table while the server runs. Two calls
// that make one at once store equal shapes, and either may win.
func (t *table) shapeOf(names []string) (*shape, error) {
	if s := t.shape.Load(); s != nil && slices.Equal(s.names, names) {
		return s, nil
	}
	s, err := newShape(names)
	if err == nil {
		s.keyed = t.shows()
		s.keys, err = t.keyIndices(names, s.document)
	}
	if err != nil {
		err = source.Mark(fmt.Errorf("select: %w", err), source.ErrFault)
		t.refusals.Met(source.KeySelect, err)
		return nil, err
	}
	t.shape.Store(s)
	return s, nil
}

// selectQuery is the select bound to args.
func (t *table) selectQuery(args source.Args) engine.Query {
	q := engine.QueryOf(t.selects, args, nil)
	q.One = !t.many
	return q
}

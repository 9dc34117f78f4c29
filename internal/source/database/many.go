package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// manyChunk is how many values one statement of a many-read names, well below
// what any of the databases allows. PostgreSQL and MySQL count parameters in 16
// bits, and SQLite takes 32766.
const manyChunk = 1000

// manyTable is a table with a select_many. It is a type of its own because
// having the method is how callers learn that they may use it.
type manyTable struct{ *table }

// LoadMany implements ManyRecords. A nil record means that there is none. Records
// that are asked for by a spelling other than the row's own come back as
// SpellingErrors, by index, beside the records of the rest; any other error fails
// the whole call.
func (m manyTable) LoadMany(ctx context.Context, args []source.Args) ([][]byte, error) {
	if len(args) == 0 {
		return nil, nil
	}
	ctx, cancel := m.deadline(ctx)
	defer cancel()
	if err := m.ready(ctx, args[0]); err != nil {
		return nil, m.failed("loading", err)
	}
	records, others := make([][]byte, 0, len(args)), source.SpellingErrors{}
	for chunk := range slices.Chunk(args, manyChunk) {
		some, err := m.loadChunk(ctx, chunk, len(records), others)
		if err != nil {
			return nil, err
		}
		records = append(records, some...)
	}
	if len(others) > 0 {
		return records, others
	}
	return records, nil
}

// loadChunk reads up to manyChunk records. Where the one statement cannot
// answer for a value, the select decides: when a value does not even fit the
// column's type, or when the database may consider equal what differs in
// bytes (a collation that ignores case). Rows that go by other names than they
// were asked for are added to others, with the place of the chunk added.
func (m manyTable) loadChunk(ctx context.Context, args []source.Args, place int, others source.SpellingErrors) ([][]byte, error) {
	// A value is asked for once, however often the caller lists it.
	values := make([]any, 0, len(args))
	wanted := make(map[string]bool, len(args))
	for _, a := range args {
		if key := fmt.Sprint(a[0]); !wanted[key] {
			wanted[key] = true
			values = append(values, a[0])
		}
	}
	found, err := m.find(ctx, values, args[0])
	if err != nil {
		return nil, m.failed("loading", err)
	}
	records := make([][]byte, len(args))
	for i, a := range args {
		var other *source.SpellingError
		records[i], err = m.pick(ctx, found, a)
		switch {
		case errors.As(err, &other):
			others[place+i] = other
		case err != nil:
			return nil, err
		}
	}
	return records, nil
}

// manyFound is what a select_many found. pick consults it for each key and never
// changes it.
type manyFound struct {
	answered bool
	shape    *shape
	rows     map[string][][][]byte // by the first column, as a key has it
	folded   map[string]bool       // the same texts in lower case
	strange  bool                  // a row is of no key that was asked for
}

// pick takes the record that a names out of found, or loads it by itself where
// found cannot know. The fallback costs one query per doubtful key. It is rare:
// keys that are spelt as their rows show them never take it.
func (m manyTable) pick(ctx context.Context, found manyFound, a source.Args) ([]byte, error) {
	key := fmt.Sprint(a[0])
	rows, ok := found.rows[key]
	if ok && m.clear(found.shape, rows, a) {
		record, err := found.shape.record(rows, m.many)
		if errors.Is(err, source.ErrNoRecord) {
			return nil, nil
		}
		if err != nil {
			return nil, m.failed("loading", source.Mark(err, source.ErrFault))
		}
		return record, nil
	}
	// The one statement has answered and no row comes near this key, so the
	// absence is proven and no second query is needed. That is what makes a
	// many-read of missing keys cheap.
	if found.answered && !ok && !m.loose(found, a[0], key) {
		if m.many {
			return []byte("[]"), nil
		}
		return nil, nil
	}
	record, err := m.Load(ctx, a)
	if errors.Is(err, source.ErrNoRecord) {
		return nil, nil
	}
	return record, err
}

// clear tells whether rows are beyond doubt the record of a: as many as there may
// be, and by their own word the ones asked for. A name with blanks at its end is
// never clear: whether they count, the select has to find out (see verify).
func (m manyTable) clear(s *shape, rows [][][]byte, a source.Args) bool {
	if !m.many && len(rows) > 1 {
		return false
	}
	own, _, err := m.names(s, rows, a)
	_, padded := trimmed(a)
	return err == nil && !padded && slices.Equal(own, a)
}

// loose tells whether a row may be there for a key that no first column shows:
// the database takes some texts for equal that differ in bytes. A collation may
// ignore capitals, which folded catches, or accents and width, which only texts
// beyond ASCII have. MySQL's default collations ignore all of these, so there
// every text is loose.
func (m manyTable) loose(found manyFound, value any, key string) bool {
	if _, text := value.(string); !text {
		return found.strange
	}
	beyond := strings.IndexFunc(key, func(r rune) bool { return r >= 0x80 }) >= 0 // accents, wide letters
	return m.db.engine.Dialect() == sqltext.MySQL || found.strange || found.folded[strings.ToLower(key)] || beyond && len(found.rows) > 0
}

// find runs the select_many. What a record looks like only the select can
// tell, so the first time its columns are asked for; and once more when they do
// not match, since somebody may have altered the table.
func (m manyTable) find(ctx context.Context, values []any, first source.Args) (manyFound, error) {
	for again := false; ; again = true {
		s := m.shape.Load()
		// The shape of the latest load serves; it may be older than an ALTER
		// TABLE.
		if s == nil || again {
			if err := m.learn(ctx, first); err != nil {
				return manyFound{}, err
			}
			if s = m.shape.Load(); s == nil {
				return manyFound{}, nil
			}
		}
		q := engine.ManyQuery(m.selectMany, values)
		// The document then stands behind the column that tells the key.
		q.Keyed = s.document
		res, err := m.read(ctx, q)
		// One value that fits no column fails the statement for all, so an empty
		// manyFound makes pick load each key by itself.
		if err != nil && m.db.engine.Fault(err).Class == engine.FaultData {
			return manyFound{}, nil
		}
		if err != nil {
			return manyFound{}, m.mark(ctx, source.KeySelectMany, err)
		}
		skip, ok := s.manySkip(res.Names)
		if ok {
			m.refusals.Cleared(source.KeySelectMany)
			return m.group(s, res.Rows, skip, values), nil
		}
		// The columns were asked for a moment ago and still differ, so it is no
		// race with an ALTER TABLE but a fault of the statement.
		if again {
			err := source.Mark(unlike(res.Names, s.names), source.ErrFault)
			m.refusals.Met(source.KeySelectMany, err)
			return manyFound{}, err
		}
	}
}

// learn finds out what the select's columns are. Where the database will not
// say, a load does.
func (m manyTable) learn(ctx context.Context, first source.Args) error {
	if names, err := m.db.engine.Columns(ctx, m.selectQuery(first)); err == nil {
		_, err = m.shapeOf(names)
		return err
	}
	var other *source.SpellingError
	if _, err := m.Load(ctx, first); err != nil && !errors.Is(err, source.ErrNoRecord) && !errors.As(err, &other) {
		return err
	}
	return nil
}

// unlike says that a select_many does not return what its select does.
func unlike(names, want []string) error {
	return fmt.Errorf("select_many: it selects %q; write what select does, %q, with the parameter's column first", names, want)
}

// manySkip tells how many columns of a select_many stand before the record's
// own: the parameter's column comes first, whether it is part of the record
// or not.
func (s *shape) manySkip(names []string) (skip int, ok bool) {
	if !s.document && slices.Equal(names, s.names) {
		return 0, true
	}
	return 1, len(names) > 0 && slices.Equal(names[1:], s.names)
}

// group puts the rows of each key together. Keys are brought into the form of
// fmt.Sprint of an argument, so that an integer that is shown as 7.0 meets the 7
// that was asked for.
func (m manyTable) group(s *shape, rows [][][]byte, skip int, values []any) manyFound {
	found := manyFound{answered: true, shape: s, rows: map[string][][][]byte{}, folded: map[string]bool{}}
	for _, cells := range rows {
		key := cellText(cells[0])
		if v, ok := valueOf(m.params[0], cells[0], nil); ok {
			key = fmt.Sprint(v)
		}
		found.rows[key] = append(found.rows[key], cells[skip:])
		found.folded[strings.ToLower(key)] = true
	}
	asked := map[string]bool{}
	for _, v := range values {
		asked[fmt.Sprint(v)] = true
	}
	for key := range found.rows {
		found.strange = found.strange || !asked[key]
	}
	return found
}

// cellText returns the text that a cell stands for.
func cellText(cell []byte) string {
	if text, err := engine.Unquote(cell); err == nil {
		return text
	}
	return string(cell)
}

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// manyChunk is how many values one statement of a many-read names, well below
// what any of the databases allows.
const manyChunk = 1000

// manyTable is a table with a select_many. It is a type of its own because
// having the method is how callers learn that they may use it.
type manyTable struct{ *table }

// LoadMany implements ManyRecords.
func (m manyTable) LoadMany(ctx context.Context, args []Args) ([][]byte, error) {
	if len(args) == 0 {
		return nil, nil
	}
	ctx, cancel := m.deadline(ctx)
	defer cancel()
	if err := m.ready(ctx, args[0]); err != nil {
		return nil, m.failed("loading", err)
	}
	records := make([][]byte, 0, len(args))
	for chunk := range slices.Chunk(args, manyChunk) {
		some, err := m.loadChunk(ctx, chunk)
		if err != nil {
			return nil, err
		}
		records = append(records, some...)
	}
	return records, nil
}

// loadChunk reads up to manyChunk records. Where the one statement cannot
// answer for a value, the select decides: when a value does not even fit the
// column's type, or when the database may consider equal what differs in
// bytes (a collation that ignores case).
func (m manyTable) loadChunk(ctx context.Context, args []Args) ([][]byte, error) {
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
		records[i], err = m.pick(ctx, found, a)
		if err != nil {
			return nil, err
		}
	}
	return records, nil
}

// manyFound is what a select_many found.
type manyFound struct {
	answered bool
	records  map[string][]byte // by the text of the first column
	folded   map[string]bool   // the same texts in lower case
}

// pick takes the record that a names out of found, or loads it by itself
// where found cannot know.
func (m manyTable) pick(ctx context.Context, found manyFound, a Args) ([]byte, error) {
	key := fmt.Sprint(a[0])
	if record, ok := found.records[key]; ok {
		return bytes.Clone(record), nil
	}
	_, text := a[0].(string)
	loose := text && (m.db.engine.dialect() == mysqlDialect || found.folded[strings.ToLower(key)])
	if found.answered && !loose {
		if m.many {
			return []byte("[]"), nil
		}
		return nil, nil
	}
	record, err := m.Load(ctx, a)
	if errors.Is(err, ErrNoRecord) {
		return nil, nil
	}
	return record, err
}

// find runs the select_many. What a record looks like only the select can
// tell, so the first time its columns are asked for; and once more when they do
// not match, since somebody may have altered the table.
func (m manyTable) find(ctx context.Context, values []any, first Args) (manyFound, error) {
	for again := false; ; again = true {
		s := m.shape.Load()
		if s == nil || again {
			if err := m.learn(ctx, first); err != nil {
				return manyFound{}, err
			}
			if s = m.shape.Load(); s == nil {
				return manyFound{}, nil
			}
		}
		q := m.selectMany.bindMany(values)
		q.keyed = s.document
		res, err := m.read(ctx, q)
		if err != nil && m.db.engine.fault(err).kind == faultData {
			return manyFound{}, nil
		}
		if err != nil {
			return manyFound{}, m.blame(ctx, keySelectMany, err)
		}
		skip, ok := s.manySkip(res.names)
		if ok {
			m.refusals.heard(keySelectMany)
			return m.group(s, res.rows, skip)
		}
		if again {
			err := markedError{unlike(res.names, s.names), ErrFault}
			m.refusals.met(keySelectMany, err)
			return manyFound{}, err
		}
	}
}

// learn finds out what the select's columns are. Where the database will not
// say, a load does.
func (m manyTable) learn(ctx context.Context, first Args) error {
	if names, err := m.db.engine.columns(ctx, m.selectQuery(first)); err == nil {
		_, err = m.shapeOf(names)
		return err
	}
	if _, err := m.Load(ctx, first); err != nil && !errors.Is(err, ErrNoRecord) {
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

// group writes a record for each value of the first column.
func (m manyTable) group(s *shape, rows [][][]byte, skip int) (manyFound, error) {
	found := manyFound{answered: true, records: map[string][]byte{}, folded: map[string]bool{}}
	groups := map[string][][][]byte{}
	for _, cells := range rows {
		key := cellText(cells[0])
		groups[key] = append(groups[key], cells[skip:])
	}
	for key, rows := range groups {
		record, err := s.record(rows, m.many)
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return found, markedError{err, ErrFault}
		}
		found.records[key] = record
		found.folded[strings.ToLower(key)] = true
	}
	return found, nil
}

// cellText returns the text that a cell stands for.
func cellText(cell []byte) string {
	if text, err := unquote(cell); err == nil {
		return text
	}
	return string(cell)
}

package database

import (
	"bytes"
	"fmt"
	"slices"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// shape writes rows of one list of columns. A shape never changes once it is
// stored, so loads share it without a lock. The prefixes are written once per
// shape; a row is then a few appends.
type shape struct {
	names    []string
	prefixes [][]byte // {"a":  ,"b":  …
	document bool
	keyed    bool  // something shows the key of a row: …
	keys     []int // … the column of each path parameter, or -1
}

// newShape fails when two columns have one name: a client could see only one
// of them, and which one is its reader's choice.
func newShape(names []string) (*shape, error) {
	s := &shape{names: slices.Clone(names), document: engine.DocumentColumn(names, false) == 0}
	if len(names) == 0 {
		return nil, fmt.Errorf("the statement returns no columns")
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("the column %q is selected twice; rename one with AS", name)
		}
		p := []byte{','}
		if i == 0 {
			p[0] = '{'
		}
		s.prefixes = append(s.prefixes, append(engine.AppendText(p, name), ':'))
	}
	return s, nil
}

// appendRow writes one row. Cells are JSON already, so nothing is escaped or
// checked here.
func (s *shape) appendRow(dst []byte, cells [][]byte) []byte {
	if s.document {
		return append(dst, cells[0]...)
	}
	for i, cell := range cells {
		dst = append(dst, s.prefixes[i]...)
		dst = append(dst, cell...)
	}
	return append(dst, '}')
}

// appendRows writes an array of rows. No rows are an empty array, which is a
// record: a list that is empty is not a list that is missing.
func (s *shape) appendRows(dst []byte, rows [][][]byte) []byte {
	dst = append(dst, '[')
	for i, cells := range rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.appendRow(dst, cells)
	}
	return append(dst, ']')
}

// record writes rows as the record: an array when many, else the first row.
// A document that is null is no record, since that is what null means in
// every tier above.
func (s *shape) record(rows [][][]byte, many bool) ([]byte, error) {
	if many {
		return s.appendRows(nil, rows), nil
	}
	if len(rows) == 0 {
		return nil, source.ErrNoRecord
	}
	record := s.appendRow(nil, rows[0])
	if bytes.Equal(record, []byte("null")) {
		return nil, source.ErrNoRecord
	}
	return record, nil
}

package sqltext

import (
	"slices"
	"strconv"
	"strings"
)

// Bound is a statement with bind parameters of its database.
type Bound struct {
	SQL  string
	Args []any
	From []int // the slot of each argument; the first of those that share one
}

// Bind puts values in: args for path parameters, fields for the body's. Values
// never become part of the text, so no value can change what a statement does.
//
// In PostgreSQL a placeholder that stands twice is one parameter: the database
// infers one type for it from both places, and GROUP BY finds the same expression
// in both. The others count every question mark.
func (s *Statement) Bind(args, fields []any) Bound {
	b := binder{statement: s}
	for i, slot := range s.Slots {
		b.sql.WriteString(s.Chunks[i])
		if slot.Param >= 0 {
			b.add(i, slot, s.Dialect.arg(args[slot.Param]))
		} else {
			b.add(i, slot, fields[slot.Field])
		}
	}
	return b.finish()
}

// BindMany puts the values of the one path parameter of a select_many in. The
// text of a ManyList depends on how many there are.
func (s *Statement) BindMany(values []any) Bound {
	b := binder{statement: s}
	for i, slot := range s.Slots {
		b.sql.WriteString(s.Chunks[i])
		if s.Many == ManyArray {
			b.add(i, slot, arrayLiteral(values))
			continue
		}
		for j, v := range values {
			if j > 0 {
				b.sql.WriteByte(',')
			}
			b.add(i, Slot{Param: j}, s.Dialect.arg(v))
		}
	}
	return b.finish()
}

// binder writes the text of a bound statement. A bind parameter must not grow
// together with a name before it or behind it.
type binder struct {
	statement *Statement
	sql       strings.Builder
	args      []any
	from      []int
	numbers   []Slot // PostgreSQL: the slot of each $n
}

// add writes a bind parameter for the value of the slot with the number at.
func (b *binder) add(at int, slot Slot, value any) {
	if text := b.sql.String(); text != "" && isNameByte(text[len(text)-1]) {
		b.sql.WriteByte(' ')
	}
	if b.statement.Dialect != PostgreSQL {
		b.args, b.from = append(b.args, value), append(b.from, at)
		b.sql.WriteByte('?')
		return
	}
	n := slices.Index(b.numbers, slot)
	if n < 0 {
		n = len(b.numbers)
		b.numbers, b.args, b.from = append(b.numbers, slot), append(b.args, value), append(b.from, at)
	}
	b.sql.WriteByte('$')
	b.sql.WriteString(strconv.Itoa(n + 1))
	b.sql.WriteByte(' ') // a digit after the placeholder must not become part of it
}

// finish writes what stands behind the last slot.
func (b *binder) finish() Bound {
	last := b.statement.Chunks[len(b.statement.Chunks)-1]
	if len(b.statement.Slots) > 0 && last != "" && isNameByte(last[0]) {
		b.sql.WriteByte(' ')
	}
	b.sql.WriteString(last)
	return Bound{SQL: b.sql.String(), Args: b.args, From: b.from}
}

// arg turns a path parameter's value into a bind value. PostgreSQL gets text
// and parses it as the type it inferred, so that no number is rounded or
// refused on the way.
func (d Dialect) arg(v any) any {
	if n, ok := v.(int64); ok && d == PostgreSQL {
		return strconv.FormatInt(n, 10)
	}
	return v
}

// arrayLiteral writes values as the text of a PostgreSQL array, so that a list of
// any length is one parameter, and the statement can stay prepared.
func arrayLiteral(values []any) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		switch v := v.(type) {
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case string:
			b = AppendElement(b, v)
		}
	}
	return string(append(b, '}'))
}

// AppendElement writes one element of a PostgreSQL array, in quotes: within them
// only quotes and backslashes mean something else than themselves.
func AppendElement(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}

package source

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/sqltext"
)

// bindSQLite binds by the declared types of the columns that the upsert assigns.
// A value of SQLite need not be of its column's type, and what a client sees of
// it does not always tell what it is: bytes in a text column show as the text
// of their base64. So a member that is as the record shows it is bound to the
// very value that the record has.
func bindSQLite(ctx context.Context, t *stdTransaction, b *binding, q *query) error {
	if len(b.values) == 0 {
		return nil
	}
	c, err := readSQLiteCatalog(ctx, t, b.statement.Tables)
	if err != nil {
		return err
	}
	// What triggers of a view change counts for nothing.
	q.uncounted = q.uncounted || c.view
	old, err := readSQLiteRow(ctx, t, b)
	if err != nil {
		return err
	}
	return b.arguments(q, func(_ int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
		if len(f.Path) == 0 {
			return string(v), nil
		}
		if cell, ok := old[f.Path[0]]; ok && len(f.Path) == 1 && (at.Form == sqltext.Direct || at.Form == sqltext.Unknown) && sameJSON(cell.shown, v) {
			return cell.value, nil
		}
		if v.Kind() == jsontext.KindNull {
			return nil, nil
		}
		column, ok := c.column(b.statement.Tables, at)
		switch {
		case at.Form == sqltext.Cast:
			column = declaredColumn("", at.Cast)
		case !ok || at.Form == sqltext.Expression:
			return bindSQLiteAny(v)
		}
		return column.bindSQLite(v)
	})
}

func readSQLiteCatalog(ctx context.Context, t *stdTransaction, tables []sqltext.Table) (*catalog, error) {
	c := &catalog{tables: map[sqltext.Table][]catalogColumn{}}
	for _, table := range tables {
		// Of columns that are generated or hidden no list of values counts any.
		declared, args := "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0", []any{table.Name}
		if table.Schema != "" {
			declared, args = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden = 0", []any{table.Name, table.Schema}
		}
		rows, err := t.conn.QueryContext(ctx, declared, args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var name, typ string
			if err := rows.Scan(&name, &typ); err != nil {
				_ = rows.Close()
				return nil, err
			}
			c.tables[table] = append(c.tables[table], catalogColumn{name: name, base: sqliteBase(typ)})
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		const view = "SELECT EXISTS (SELECT 1 FROM pragma_table_list(?) WHERE type = 'view' AND (schema = ? COLLATE NOCASE OR ? = ''))"
		is := false
		if err := t.conn.QueryRowContext(ctx, view, table.Name, table.Schema, table.Schema).Scan(&is); err != nil {
			return nil, err
		}
		c.view = c.view || is
	}
	return c, nil
}

// sqliteBase is a declared type without its numbers.
func sqliteBase(declared string) string {
	base, _, _ := strings.Cut(declared, "(")
	return strings.ToUpper(strings.TrimSpace(base))
}

// sqliteCell is a value as a client sees it, and as it is.
type sqliteCell struct {
	shown []byte
	value any
}

// readSQLiteRow reads the record that is about to be overwritten, by the names
// of its columns. A column with a sign before it has no declared type, so that
// the driver leaves its value as it is.
func readSQLiteRow(ctx context.Context, t *stdTransaction, b *binding) (map[string]sqliteCell, error) {
	if !b.one {
		return nil, nil
	}
	shown, err := t.query(ctx, b.shown)
	if err != nil || len(shown.rows) == 0 || documentColumn(shown.names, false) >= 0 {
		return nil, err
	}
	var list []string
	for _, name := range shown.names {
		list = append(list, `+"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	rows, err := t.conn.QueryContext(ctx, "SELECT "+strings.Join(list, ", ")+" FROM (\n"+b.shown.sql+"\n) LIMIT 1", b.shown.args...)
	if err != nil {
		return nil, nil // a statement that cannot stand within another
	}
	defer rows.Close()
	values, targets := make([]any, len(list)), make([]any, len(list))
	for i := range values {
		targets[i] = &values[i]
	}
	if !rows.Next() {
		return nil, rows.Err()
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, err
	}
	cells := map[string]sqliteCell{}
	for i, name := range shown.names {
		if data, ok := values[i].([]byte); ok {
			values[i] = append([]byte{}, data...) // of none, too: the driver would bind nil as NULL
		}
		cells[name] = sqliteCell{shown.rows[0][i], values[i]}
	}
	return cells, rows.Close()
}

// sameJSON tells whether a client that got shown and sends v has left it as it
// was. Strings may be escaped and numbers written in other ways.
func sameJSON(shown, v jsontext.Value) bool {
	if shown.Kind() != v.Kind() {
		return false
	}
	switch v.Kind() {
	case jsontext.KindString:
		a, err1 := unquote(shown)
		b, err2 := unquote(v)
		return err1 == nil && err2 == nil && a == b
	case jsontext.KindNumber:
		a, ok1 := decimalOf(string(shown))
		b, ok2 := decimalOf(string(v))
		return ok1 && ok2 && a.equal(b)
	}
	v = v.Clone()
	return v.Compact() == nil && bytes.Equal(shown, v)
}

// An affinity is the type that SQLite turns values of a column into where it
// can (datatype3.html, section 3.1).
type affinity int

const (
	numericAffinity affinity = iota
	integerAffinity
	textAffinity
	realAffinity
	noAffinity
)

func affinityOf(base string) affinity {
	contains := func(part string) bool { return strings.Contains(base, part) }
	switch {
	case contains("INT"):
		return integerAffinity
	case contains("CHAR"), contains("CLOB"), contains("TEXT"):
		return textAffinity
	case base == "", contains("BLOB"):
		return noAffinity
	case contains("REAL"), contains("FLOA"), contains("DOUB"):
		return realAffinity
	}
	return numericAffinity
}

// bindSQLite turns a member that is not null into a value of the column.
func (c catalogColumn) bindSQLite(v jsontext.Value) (any, error) {
	switch c.base {
	case "JSON", "JSONB":
		return string(v), nil
	case "BOOL", "BOOLEAN":
		if v.Kind() == jsontext.KindNumber {
			return bindSQLiteInteger(v)
		}
		return boolOf(v)
	case "NUMERIC", "DECIMAL", "NUMBER":
		text, err := numberOf(v)
		if err != nil {
			return nil, err
		}
		return bindSQLiteNumber(text)
	}
	switch affinityOf(c.base) {
	case integerAffinity:
		return bindSQLiteInteger(v)
	case realAffinity:
		return bindSQLiteReal(v)
	case textAffinity:
		return textOf(v)
	case noAffinity:
		if c.base != "" {
			return bytesOf(v)
		}
	case numericAffinity: // dates, times, and types that SQLite does not know
		if text, err := stringOf(v); err == nil && looksNumeric(text) {
			return nil, valueFault("has to be another string or a number: the column turns strings such as this one into numbers")
		}
	}
	return bindSQLiteAny(v)
}

// looksNumeric tells whether a column of numeric affinity turns the text into a
// number.
func looksNumeric(text string) bool {
	text = strings.TrimSpace(text)
	digits := strings.TrimLeft(text, "+-.")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || strings.ContainsAny(text, "xXpP_") { // Go's own ways to write numbers
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// bindSQLiteAny binds by what a member is. What is stored would be read back as
// another number is refused.
func bindSQLiteAny(v jsontext.Value) (any, error) {
	if v.Kind() == jsontext.KindNumber {
		return bindSQLiteNumber(string(v))
	}
	return bindAny(v)
}

func bindSQLiteInteger(v jsontext.Value) (any, error) {
	n, err := kindInteger.bind(v, nil)
	if _, long := n.(string); err == nil && long {
		return nil, faultRange
	}
	return n, err
}

func bindSQLiteReal(v jsontext.Value) (any, error) {
	text, err := numberOf(v)
	if err != nil {
		return nil, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, faultRange
	}
	return f, nil
}

// bindSQLiteNumber takes what SQLite's integers or its doubles hold exactly, or
// as the shortest decimal that reads back so.
func bindSQLiteNumber(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, faultRange
	}
	a, ok1 := decimalOf(text)
	b, ok2 := decimalOf(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok1 || !ok2 || !a.equal(b) {
		return nil, faultDigits
	}
	return f, nil
}

package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// bind binds by the declared types of the columns that the upsert assigns. A
// value of SQLite need not be of its column's type, and what a client sees of it
// does not always tell what it is: bytes in a text column show as the text of
// their base64. So a member that is as the record shows it is bound to the very
// value that the record has. It runs within the transaction, which holds the
// write lock, so the row it reads is the row that is overwritten.
func bind(ctx context.Context, t *stdsql.Transaction, b *engine.Binding, q *engine.Query) error {
	if len(b.Values) == 0 {
		return nil
	}
	// Nothing is remembered from one write to the next: SQLite is in this process, so
	// asking is cheap, and an answer that is kept could be wrong.
	c, err := readCatalog(ctx, t, b.Statement.Tables)
	if err != nil {
		return err
	}
	// What triggers of a view change counts for nothing.
	q.Uncounted = q.Uncounted || c.View
	old, err := readRow(ctx, t, b)
	if err != nil {
		return err
	}
	return b.Arguments(q, func(_ int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
		if len(f.Path) == 0 {
			return string(v), nil
		}
		// An untouched member keeps the value that stands, with its storage class: bytes in a
		// text column stay bytes, an integer in a real column stays an integer.
		if cell, ok := old[f.Path[0]]; ok && len(f.Path) == 1 && (at.Form == sqltext.Direct || at.Form == sqltext.Unknown) && sameJSON(cell.shown, v) {
			return cell.value, nil
		}
		if v.Kind() == jsontext.KindNull {
			return nil, nil
		}
		column, ok := c.Column(b.Statement.Tables, at)
		switch {
		case at.Form == sqltext.Cast:
			column = engine.DeclaredColumn("", at.Cast)
		// No column tells what the statement takes.
		case !ok || at.Form == sqltext.Expression:
			return bindAny(v)
		}
		return bindColumn(column, v)
	})
}

// readCatalog reads within the transaction: no other connection alters a table
// while this one has the write lock. It also finds out whether a table is a view:
// its INSTEAD OF triggers do the work, and SQLite counts none of their rows.
func readCatalog(ctx context.Context, t *stdsql.Transaction, tables []sqltext.Table) (*engine.Catalog, error) {
	c := &engine.Catalog{Tables: map[sqltext.Table][]engine.Column{}}
	for _, table := range tables {
		// Of columns that are generated or hidden no list of values counts any.
		declared, args := "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0", []any{table.Name}
		if table.Schema != "" {
			declared, args = "SELECT name, type FROM pragma_table_xinfo(?, ?) WHERE hidden = 0", []any{table.Name, table.Schema}
		}
		err := stdsql.EachRow(ctx, t.Conn, func(rows *sql.Rows) error {
			var name, typ string
			err := rows.Scan(&name, &typ)
			c.Tables[table] = append(c.Tables[table], engine.Column{Name: name, Base: baseOf(typ)})
			return err
		}, declared, args...)
		if err != nil {
			return nil, err
		}
		const view = "SELECT EXISTS (SELECT 1 FROM pragma_table_list(?) WHERE type = 'view' AND (schema = ? COLLATE NOCASE OR ? = ''))"
		is := false
		if err := t.Conn.QueryRowContext(ctx, view, table.Name, table.Schema, table.Schema).Scan(&is); err != nil {
			return nil, err
		}
		c.View = c.View || is
	}
	return c, nil
}

// baseOf is a declared type without its numbers. VARCHAR(20) is VARCHAR.
// Capitals, as names of types are compared without case.
func baseOf(declared string) string {
	base, _, _ := strings.Cut(declared, "(")
	return strings.ToUpper(strings.TrimSpace(base))
}

// cell is a value as a client sees it, and as it is. value has the storage class
// that the row has: an int64, a float64, a string, bytes or nil.
type cell struct {
	shown []byte
	value any
}

// readRow reads the record that is about to be overwritten, by the names of its
// columns. A column with a sign before it has no declared type, so that the
// driver leaves its value as it is. A nil map says that there is no such record,
// or that its values cannot be told from the select; then members are bound by
// their columns alone.
func readRow(ctx context.Context, t *stdsql.Transaction, b *engine.Binding) (map[string]cell, error) {
	if !b.One {
		return nil, nil
	}
	shown, err := t.Query(ctx, b.Shown)
	if err != nil || len(shown.Rows) == 0 || engine.DocumentColumn(shown.Names, false) >= 0 {
		return nil, err
	}
	var list []string
	for _, name := range shown.Names {
		// A unary plus changes no value. It makes an expression of the column,
		// and expressions have no declared type.
		list = append(list, `+"`+strings.ReplaceAll(name, `"`, `""`)+`"`)
	}
	rows, err := t.Conn.QueryContext(ctx, "SELECT "+strings.Join(list, ", ")+" FROM (\n"+b.Shown.SQL+"\n) LIMIT 1", b.Shown.Args...)
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
	cells := map[string]cell{}
	for i, name := range shown.Names {
		if data, ok := values[i].([]byte); ok {
			values[i] = append([]byte{}, data...) // of none, too: the driver would bind nil as NULL
		}
		cells[name] = cell{shown.Rows[0][i], values[i]}
	}
	return cells, rows.Close()
}

// sameJSON tells whether a client that got shown and sends v has left it as it
// was. Strings may be escaped and numbers written in other ways. Numbers are
// compared as decimals: 1.0 and 1e0 are the 1 that was shown.
func sameJSON(shown, v jsontext.Value) bool {
	if shown.Kind() != v.Kind() {
		return false
	}
	switch v.Kind() {
	case jsontext.KindString:
		a, err1 := engine.Unquote(shown)
		b, err2 := engine.Unquote(v)
		return err1 == nil && err2 == nil && a == b
	case jsontext.KindNumber:
		a, ok1 := engine.DecimalOf(string(shown))
		b, ok2 := engine.DecimalOf(string(v))
		return ok1 && ok2 && a.Equal(b)
	}
	// Compact works in place, and v is part of the body.
	v = v.Clone()
	return v.Compact() == nil && bytes.Equal(shown, v)
}

// An affinity is the type that SQLite turns values of a column into where it can
// (datatype3.html, section 3.1).
type affinity int

const (
	numericAffinity affinity = iota
	integerAffinity
	textAffinity
	realAffinity
	noAffinity
)

// affinityOf goes by parts of the declared name in the order of SQLite's own
// rules, so that CHARINT is an integer. base is a declared type without its
// numbers, in capitals.
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

// bindColumn turns a member that is not null into a value of the column. JSON
// goes as its text. What is declared as bytes takes base64, and a column without
// a declared type takes each value as what it is.
func bindColumn(c engine.Column, v jsontext.Value) (any, error) {
	switch c.Base {
	case "JSON", "JSONB":
		return string(v), nil
	case "BOOL", "BOOLEAN":
		if v.Kind() == jsontext.KindNumber {
			return bindInteger(v)
		}
		return engine.BoolOf(v)
	// Exact or refused: these columns hold amounts.
	case "NUMERIC", "DECIMAL", "NUMBER":
		text, err := engine.NumberOf(v)
		if err != nil {
			return nil, err
		}
		return bindNumber(text)
	}
	switch affinityOf(c.Base) {
	case integerAffinity:
		return bindInteger(v)
	case realAffinity:
		return bindReal(v)
	case textAffinity:
		return engine.TextOf(v)
	case noAffinity:
		if c.Base != "" {
			return engine.BytesOf(v)
		}
	case numericAffinity: // dates, times, and types that SQLite does not know
		if text, err := engine.StringOf(v); err == nil && looksNumeric(text) {
			return nil, engine.Misfit("has to be another string or a number: the column turns strings such as this one into numbers")
		}
	}
	return bindAny(v)
}

// looksNumeric tells whether a column of numeric affinity turns the text into a
// number. Such a text would be stored as a number and come back as one: "007" as
// 7.
func looksNumeric(text string) bool {
	text = strings.TrimSpace(text)
	// Go and SQLite agree on what is a number but for the ways of writing that are excluded.
	digits := strings.TrimLeft(text, "+-.")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || strings.ContainsAny(text, "xXpP_") { // Go's own ways to write numbers
		return false
	}
	_, err := strconv.ParseFloat(text, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// bindAny binds by what a member is. What is stored would be read back as another
// number is refused. It is for members whose place has no declared type.
func bindAny(v jsontext.Value) (any, error) {
	if v.Kind() == jsontext.KindNumber {
		return bindNumber(string(v))
	}
	return engine.BindAny(v)
}

// bindInteger refuses what needs more than 64 bits: SQLite would keep it as a
// double. An integer column keeps what does not fit it, so the refusal has to
// come from here.
func bindInteger(v jsontext.Value) (any, error) {
	n, err := engine.TypeInteger.Bind(v, nil)
	if _, long := n.(string); err == nil && long {
		return nil, engine.OutOfRange
	}
	return n, err
}

// bindReal rounds as every double does; the record shows what was stored. It is
// the one place where a number may change: a column that is declared as REAL
// holds doubles and nothing else.
func bindReal(v jsontext.Value) (any, error) {
	text, err := engine.NumberOf(v)
	if err != nil {
		return nil, err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, engine.OutOfRange
	}
	return f, nil
}

// bindNumber takes what SQLite's integers or its doubles hold exactly, or as the
// shortest decimal that reads back so. A number that neither holds is refused
// rather than rounded, for the column promises no double.
func bindNumber(text string) (any, error) {
	// Integers first: above 2^53 a double would lose digits that an int64 keeps.
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, engine.OutOfRange
	}
	// A double is taken if its shortest decimal is the number that was sent: then a read
	// shows what was written.
	a, ok1 := engine.DecimalOf(text)
	b, ok2 := engine.DecimalOf(strconv.FormatFloat(f, 'g', -1, 64))
	if !ok1 || !ok2 || !a.Equal(b) {
		return nil, engine.TooManyDigits
	}
	return f, nil
}

package mysql

import (
	"context"
	"database/sql"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// bind binds by the declared types of the columns that the upsert assigns: MySQL
// itself tells no types of parameters. What has no such column is bound as the
// select shows it under that name, or else by what it is. It runs within the
// transaction, on its connection. b.Catalog is set when it returns without an
// error.
func bind(ctx context.Context, t *stdsql.Transaction, b *engine.Binding, q *engine.Query) error {
	if len(b.Values) == 0 {
		return nil
	}
	if b.Catalog == nil { // it was forgotten in this very call
		shown, err := t.Query(ctx, b.Shown)
		if err == nil {
			b.Catalog, err = t.Catalog(ctx, b.Statement, shown)
		}
		if err != nil {
			return err
		}
	}
	// Members become arguments first, since keepBytes has to see which of them
	// are bytes.
	if err := b.Arguments(q, func(_ int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
		return argument(b, f, at, v)
	}); err != nil {
		return err
	}
	keepBytes(b, q)
	return nil
}

// argument binds one member. A cast in the statement counts more than the column,
// and what the select shows more than the declaration: a client writes what it
// has read. Where the shown form and the column's differ, the text or the bytes
// go into the column as they are: the client has sent what stands there, in the
// form of the select.
func argument(b *engine.Binding, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
	switch {
	case len(f.Path) == 0:
		return string(v), nil
	case v.Kind() == jsontext.KindNull:
		return nil, nil
	// The member is an operand of something: no column tells its type.
	case at.Form == sqltext.Expression:
		return engine.BindAny(v)
	case at.Form == sqltext.Cast:
		return bindColumn(engine.DeclaredColumn("", at.Cast), v)
	}
	shown := b.Catalog.Shown(f)
	column, ok := b.Catalog.Column(b.Statement.Tables, at)
	if !ok {
		return bindColumn(shown, v)
	}
	// The column is shown as something else than it is: JSON that lies in a text column, bytes
	// as a text.
	kind, seen := freeType(column.Base), freeType(shown.Base)
	// In all other cases the declaration decides.
	if !kind.ShownAs(seen) {
		return bindColumn(column, v)
	}
	data, err := seen.Reads(v)
	if kind == engine.TypeBytes {
		return data, err
	}
	return string(data), err
}

// keepBytes writes CAST(? AS BINARY) where bytes stand in a place of no known
// column, as in the select list of a derived table or as an argument of CALL. The
// driver sends them as it sends texts, and only a column of bytes that they are
// assigned to takes them as they are: elsewhere MySQL puts a question mark in the
// place of each byte that is no UTF-8, and says nothing. The text of the
// statement changes only if there is such an argument. Path parameters are never
// bytes.
func keepBytes(b *engine.Binding, q *engine.Query) {
	var sql strings.Builder
	cast := false
	for i, from := range q.From {
		sql.WriteString(b.Statement.Chunks[from])
		_, bytes := q.Args[i].([]byte)
		if bytes && b.Statement.Slots[from].Param < 0 && !b.Statement.Destinations[from].IsKnown() {
			sql.WriteString(" CAST(? AS BINARY)")
			cast = true
			continue
		}
		sql.WriteString("?")
	}
	if cast {
		sql.WriteString(b.Statement.Chunks[len(b.Statement.Slots)])
		q.SQL = sql.String()
	}
}

// readCatalog reads the declarations of the upsert's tables, and how the select
// shows its columns. Names are compared without case in MySQL, so documents has
// them in lower case. COALESCE stands for a table without a schema: it is that of
// the connection.
func readCatalog(ctx context.Context, db stdsql.Asker, s *sqltext.Statement, shown *engine.Result) (*engine.Catalog, error) {
	c := &engine.Catalog{Tables: map[sqltext.Table][]engine.Column{}, Names: shown.Names, Types: shown.Types}
	documents, err := documents(ctx, db, s.Tables)
	if err != nil {
		return nil, err
	}
	for _, table := range s.Tables {
		const declared = `SELECT column_name, column_type FROM information_schema.columns
			WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ? ORDER BY ordinal_position`
		err := stdsql.EachRow(ctx, db, func(rows *sql.Rows) error {
			var name, typ string
			err := rows.Scan(&name, &typ)
			column := engine.DeclaredColumn(name, typ)
			if documents[table][strings.ToLower(name)] {
				column.Base = "JSON"
			}
			c.Tables[table] = append(c.Tables[table], column)
			return err
		}, declared, table.Schema, table.Name)
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// types are those of MySQL's types, by declaration and as the driver names
// them. What is not among them is text in a form of its own.
var types = typesOf(map[engine.Type]string{
	engine.TypeText:    "CHAR VARCHAR TEXT TINYTEXT MEDIUMTEXT LONGTEXT",
	engine.TypeJSON:    "JSON",
	engine.TypeInteger: "TINYINT BOOLEAN SMALLINT MEDIUMINT INT INTEGER BIGINT SIGNED UNSIGNED YEAR",
	engine.TypeNumber:  "DECIMAL NUMERIC FLOAT DOUBLE REAL",
	engine.TypeDate:    "DATE",
	engine.TypeTime:    "DATETIME TIMESTAMP",
	engine.TypeClock:   "TIME",
	engine.TypeBytes: "BIT BINARY VARBINARY BLOB TINYBLOB MEDIUMBLOB LONGBLOB VECTOR GEOMETRY POINT LINESTRING POLYGON" +
		" MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION GEOMCOLLECTION",
})

// typesOf turns lists of names around.
func typesOf(names map[engine.Type]string) map[string]engine.Type {
	all := map[string]engine.Type{}
	for kind, list := range names {
		for _, name := range strings.Fields(list) {
			all[name] = kind
		}
	}
	return all
}

// freeType is the form of a type's kind. Bits have none: they are written as
// numbers, too. The names are those of the declarations, in capitals.
func freeType(base string) engine.Type {
	if base == "BIT" {
		return engine.TypeOther
	}
	return types[base].Free()
}

// times have what MySQL writes of dates with a zero part, and of times.
var times = &engine.TimeForms{
	Layout: "2006-01-02 15:04:05.999999999",
	Date:   regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),
	Clock:  regexp.MustCompile(`^-?\d{2,3}:\d\d:\d\d(\.\d+)?$`),
	Time:   regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$`),
}

// bindColumn turns a member that is not null into a value of the column. Types
// that MySQL would silently turn into something else are taken apart here; the
// others follow the rules of all engines.
func bindColumn(c engine.Column, v jsontext.Value) (any, error) {
	switch c.Base {
	case "TINYINT", "BOOLEAN":
		// BOOLEAN is a name for TINYINT(1), which a read shows as a number; clients send both.
		if yes, err := engine.BoolOf(v); err == nil {
			return yes, nil
		}
	case "YEAR":
		return bindYear(v)
	case "BIT":
		return bindBits(v)
	case "ENUM", "SET":
		return bindWord(c, v)
	case "":
		return engine.BindAny(v)
	}
	// An unknown name gives TypeOther, which takes any text.
	return types[c.Base].Bind(v, times)
}

// bindYear refuses what MySQL takes for a year of two digits. A year column holds
// 0 and 1901 to 2155; MySQL would read 24 as 2024 and store what was not sent.
func bindYear(v jsontext.Value) (any, error) {
	text, err := engine.IntegerOf(v)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(text); err == nil && (n == 0 || n > 1900 && n < 2156) {
		return n, nil
	}
	return nil, engine.OutOfRange
}

// bindBits takes the base64 that a read shows, and numbers, and the truth of one
// bit. A number that needs more bits than the column has is refused by the
// server, as too long.
func bindBits(v jsontext.Value) (any, error) {
	if yes, err := engine.BoolOf(v); err == nil {
		return yes, nil
	}
	if v.Kind() != jsontext.KindNumber {
		return engine.BytesOf(v)
	}
	text, err := engine.IntegerOf(v)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, engine.OutOfRange
	}
	return n, nil
}

// bindWord refuses numbers: MySQL would take them for the place of a word in the
// declaration, unless they are words themselves.
func bindWord(c engine.Column, v jsontext.Value) (any, error) {
	text, err := engine.StringOf(v)
	if err != nil {
		return nil, err
	}
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
	if digits && text != "" && c.Words != nil && !slices.Contains(c.Words, text) {
		return nil, engine.Misfit("is not allowed")
	}
	return text, nil
}

package source

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/sqltext"
)

// bindMySQL binds by the declared types of the columns that the upsert assigns:
// MySQL itself tells no types of parameters. What has no such column is bound
// as the select shows it under that name, or else by what it is.
func bindMySQL(ctx context.Context, t *stdTransaction, b *binding, q *query) error {
	if len(b.values) == 0 {
		return nil
	}
	if b.catalog == nil { // it was forgotten in this very call
		shown, err := t.query(ctx, b.shown)
		if err == nil {
			b.catalog, err = t.catalog(ctx, b.statement, shown)
		}
		if err != nil {
			return err
		}
	}
	if err := b.arguments(q, b.mysqlArgument); err != nil {
		return err
	}
	b.keepBytes(q)
	return nil
}

func (b *binding) mysqlArgument(_ int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
	switch {
	case len(f.Path) == 0:
		return string(v), nil
	case v.Kind() == jsontext.KindNull:
		return nil, nil
	case at.Form == sqltext.Expression:
		return bindAny(v)
	case at.Form == sqltext.Cast:
		return declaredColumn("", at.Cast).bindMySQL(v)
	}
	shown := b.catalog.shown(f)
	column, ok := b.catalog.column(b.statement.Tables, at)
	if !ok {
		return shown.bindMySQL(v)
	}
	kind, seen := mysqlForm(column.base), mysqlForm(shown.base)
	if !kind.shownAs(seen) {
		return column.bindMySQL(v)
	}
	data, err := seen.reads(v)
	if kind == kindBytes {
		return data, err
	}
	return string(data), err
}

// keepBytes writes CAST(? AS BINARY) where bytes stand in a place of no known
// column, as in the select list of a derived table or as an argument of CALL. The
// driver sends them as it sends texts, and only a column of bytes that they are
// assigned to takes them as they are: elsewhere MySQL puts a question mark in the
// place of each byte that is no UTF-8, and says nothing.
func (b *binding) keepBytes(q *query) {
	var sql strings.Builder
	cast := false
	for i, from := range q.from {
		sql.WriteString(b.statement.Chunks[from])
		_, bytes := q.args[i].([]byte)
		if bytes && b.statement.Slots[from].Param < 0 && !b.statement.Destinations[from].IsKnown() {
			sql.WriteString(" CAST(? AS BINARY)")
			cast = true
			continue
		}
		sql.WriteString("?")
	}
	if cast {
		sql.WriteString(b.statement.Chunks[len(b.statement.Slots)])
		q.sql = sql.String()
	}
}

// shown is the select's column that a member has the name of.
func (c *catalog) shown(f sqltext.Field) catalogColumn {
	if i := slices.Index(c.names, f.Path[0]); i >= 0 && len(f.Path) == 1 {
		return declaredColumn("", strings.TrimPrefix(c.types[i], "UNSIGNED "))
	}
	return catalogColumn{}
}

// readMySQLCatalog reads the declarations of the upsert's tables, and how the
// select shows its columns.
func readMySQLCatalog(ctx context.Context, db sqlAsker, s *sqltext.Statement, shown *result) (*catalog, error) {
	c := &catalog{tables: map[sqltext.Table][]catalogColumn{}, names: shown.names, types: shown.types}
	documents, err := mysqlDocuments(ctx, db, s.Tables)
	if err != nil {
		return nil, err
	}
	for _, table := range s.Tables {
		const declared = `SELECT column_name, column_type FROM information_schema.columns
			WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ? ORDER BY ordinal_position`
		rows, err := db.QueryContext(ctx, declared, table.Schema, table.Name)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var name, typ string
			if err := rows.Scan(&name, &typ); err != nil {
				_ = rows.Close()
				return nil, err
			}
			column := declaredColumn(name, typ)
			if documents[table][strings.ToLower(name)] {
				column.base = "JSON"
			}
			c.tables[table] = append(c.tables[table], column)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// mysqlKinds are those of MySQL's types, by declaration and as the driver names
// them. What is not among them is text in a form of its own.
var mysqlKinds = kindsOf(map[valueKind]string{
	kindText:    "CHAR VARCHAR TEXT TINYTEXT MEDIUMTEXT LONGTEXT",
	kindJSON:    "JSON",
	kindInteger: "TINYINT BOOLEAN SMALLINT MEDIUMINT INT INTEGER BIGINT SIGNED UNSIGNED YEAR",
	kindNumber:  "DECIMAL NUMERIC FLOAT DOUBLE REAL",
	kindDate:    "DATE",
	kindTime:    "DATETIME TIMESTAMP",
	kindClock:   "TIME",
	kindBytes: "BIT BINARY VARBINARY BLOB TINYBLOB MEDIUMBLOB LONGBLOB VECTOR GEOMETRY POINT LINESTRING POLYGON" +
		" MULTIPOINT MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION GEOMCOLLECTION",
})

func kindsOf(names map[valueKind]string) map[string]valueKind {
	all := map[string]valueKind{}
	for kind, list := range names {
		for _, name := range strings.Fields(list) {
			all[name] = kind
		}
	}
	return all
}

// mysqlForm is the form of a type's kind. Bits have none: they are written as
// numbers, too.
func mysqlForm(base string) valueKind {
	if base == "BIT" {
		return kindOther
	}
	return mysqlKinds[base].form()
}

// mysqlTimes have what MySQL writes of dates with a zero part, and of times.
var mysqlTimes = &timeForms{
	layout: "2006-01-02 15:04:05.999999999",
	date:   regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),
	clock:  regexp.MustCompile(`^-?\d{2,3}:\d\d:\d\d(\.\d+)?$`),
	time:   regexp.MustCompile(`^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?$`),
}

// bindMySQL turns a member that is not null into a value of the column.
func (c catalogColumn) bindMySQL(v jsontext.Value) (any, error) {
	switch c.base {
	case "TINYINT", "BOOLEAN":
		if yes, err := boolOf(v); err == nil {
			return yes, nil
		}
	case "YEAR":
		return bindYear(v)
	case "BIT":
		return bindBits(v)
	case "ENUM", "SET":
		return c.bindWord(v)
	case "":
		return bindAny(v)
	}
	return mysqlKinds[c.base].bind(v, mysqlTimes)
}

// bindYear refuses what MySQL takes for a year of two digits.
func bindYear(v jsontext.Value) (any, error) {
	text, err := integerOf(v)
	if err != nil {
		return nil, err
	}
	if n, err := strconv.Atoi(text); err == nil && (n == 0 || n > 1900 && n < 2156) {
		return n, nil
	}
	return nil, faultRange
}

// bindBits takes the base64 that a read shows, and numbers, and the truth of one
// bit.
func bindBits(v jsontext.Value) (any, error) {
	if yes, err := boolOf(v); err == nil {
		return yes, nil
	}
	if v.Kind() != jsontext.KindNumber {
		return bytesOf(v)
	}
	text, err := integerOf(v)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return nil, faultRange
	}
	return n, nil
}

// bindWord refuses numbers: MySQL would take them for the place of a word in the
// declaration, unless they are words themselves.
func (c catalogColumn) bindWord(v jsontext.Value) (any, error) {
	text, err := stringOf(v)
	if err != nil {
		return nil, err
	}
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
	if digits && text != "" && c.words != nil && !slices.Contains(c.words, text) {
		return nil, valueFault("is not allowed")
	}
	return text, nil
}

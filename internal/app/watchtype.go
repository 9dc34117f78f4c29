package app

import (
	"slices"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
)

// Types of columns by the beginnings of their names, each followed by anything.
var (
	integerTypes = []string{"int", "tinyint", "smallint", "mediumint", "bigint", "year"}
	numberTypes  = []string{"numeric", "decimal", "float", "double", "real", "money", "bit", "bool"}
	textTypes    = []string{
		"text", "varchar", "char", "bpchar", "name", "citext", "tinytext", "mediumtext", "longtext", "enum", "set(", "clob", "nchar", "nvarchar", "native character",
	}
	// otherTypes have several spellings, of which a row shows one that finds it.
	otherTypes = []string{"date", "timestamp", "datetime", "time", "uuid", "inet", "cidr", "macaddr", "varbinary", "tinyblob", "mediumblob", "longblob"}
	// strangeTypes are shown by the outbox in a form that no path has.
	strangeTypes = []string{"bytea", "timestamptz", "timetz", "interval", "json", "blob", "binary", "geometry", "point", "linestring", "polygon", "vector"}
	// uuidBytes hold the 16 bytes of a uuid, which the outbox shows as text.
	uuidBytes = []string{"binary(16)", "varbinary", "blob"}
)

// fit is how the values of a column go with a parameter of a path.
type fit int

const (
	fits    fit = iota // one value, one spelling
	doubted            // the row's own spelling is known, and others find it, too
	strange            // it is not known how a path spells the row
)

// fitOf tells how a column's values go with a parameter, and why if they do not.
func fitOf(p outbox.Param, c outbox.TableColumn, d sqltext.Dialect) (f fit, why string) {
	is := func(types []string) bool {
		return slices.ContainsFunc(types, func(t string) bool { return strings.HasPrefix(c.Type, t) })
	}
	isInteger, isStrange := is(integerTypes), is(strangeTypes)
	if d == sqltext.PostgreSQL { // which has int4range, too
		isInteger = slices.Contains([]string{"int2", "int4", "int8", "oid"}, c.Type)
	}
	if d == sqltext.MySQL && c.Type == "blob" {
		isStrange = false // text, if it is one
	}
	// A type that PostgreSQL does not have itself, such as an enumeration, is one of texts; a
	// column of SQLite without a type has what was put in.
	isText := is(textTypes) || c.Type == "" || d == sqltext.PostgreSQL && !isInteger && !isStrange && !is(numberTypes) && !is(otherTypes)
	why = "has the type " + c.Type
	switch kind := param.Kind(p.Type); {
	case kind == param.UUID && (c.Type == "uuid" || isText || d != sqltext.PostgreSQL && is(uuidBytes)), kind == param.Int && isInteger:
		return fits, ""
	case kind == param.UUID, isStrange, kind == param.Int && is(otherTypes), kind == param.Int && d == sqltext.PostgreSQL && c.Type == "bool":
		return strange, why
	case kind == param.String && isText && c.Folds:
		return doubted, "compares without regard to capitals or accents"
	case kind == param.String && isText && c.Pads:
		return doubted, "compares without regard to blanks at the end"
	case kind == param.String && isText, c.Type == "":
		return fits, ""
	}
	return doubted, why
}

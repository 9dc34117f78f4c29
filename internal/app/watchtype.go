package app

import (
	"slices"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
)

// Types of columns whose values are spelled in one way in a path of each kind, by the
// beginnings of their names. What is not among them may be found by several spellings.
var (
	integerTypes = []string{"int", "tinyint", "smallint", "mediumint", "bigint", "oid", "year"}
	textTypes    = []string{"text", "varchar", "char", "character", "bpchar", "name", "citext", "tinytext", "mediumtext", "longtext", "enum", "set(", "clob", "nchar", "nvarchar", "native character"}
	byteTypes    = []string{"binary(16)", "varbinary", "blob"}
	// otherTypes are those of PostgreSQL that have more than one spelling; what it does
	// not have itself, an enumeration for one, has one.
	otherTypes = []string{"numeric", "float", "bool", "date", "time", "interval", "bytea", "json", "uuid", "inet", "cidr", "macaddr", "money", "bit", "varbit", "int4range", "int8range"}
)

// misfit says why a column's values and those of a parameter may be spelled differently, ""
// if they are not.
func misfit(p outbox.Param, c outbox.TableColumn, d sqltext.Dialect) string {
	is := func(types []string) bool {
		return slices.ContainsFunc(types, func(t string) bool { return strings.HasPrefix(c.Type, t) })
	}
	isInteger := is(integerTypes)
	if d == sqltext.PostgreSQL { // which has interval and int4range, too
		isInteger = slices.Contains([]string{"int2", "int4", "int8", "oid"}, c.Type)
	}
	isText := is(textTypes) || c.Type == "" || d == sqltext.PostgreSQL && !isInteger && !is(otherTypes)
	switch {
	case param.Kind(p.Type) == param.Int && isInteger:
		return ""
	case param.Kind(p.Type) == param.UUID && (c.Type == "uuid" || isText || is(byteTypes)):
		return ""
	case param.Kind(p.Type) == param.String && isText && c.Folds:
		return "compares without regard to capitals or accents"
	case param.Kind(p.Type) == param.String && isText && c.Pads:
		return "compares without regard to blanks at the end"
	case param.Kind(p.Type) == param.String && isText:
		return ""
	case c.Type == "":
		return ""
	}
	return "has the type " + c.Type
}

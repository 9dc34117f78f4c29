package draft

import (
	"slices"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/sqltext"
)

// family is what is common to the types of columns, as far as a draft goes by it. Types of
// PostgreSQL are told by their whole names, for anybody may name a type of theirs print_mode or
// text_pair; MySQL has those that it has, and SQLite goes by parts of a name itself.
type family int

const (
	asOther family = iota // shown as the database writes it
	asInteger
	asText
	asUUID
	asBoolean
	asBit // a boolean that is a number
	asExact
	asNumber
	asBytes
	asDate
	asInstant
	asDocument
	asStored // any type, value by value
)

var familiesOfPostgres = map[string]family{
	"smallint": asInteger, "integer": asInteger, "bigint": asInteger, "oid": asInteger,
	"text": asText, "character varying": asText, "character": asText, "bpchar": asText, "name": asText, `"char"`: asText, "citext": asText,
	"uuid": asUUID, "boolean": asBoolean, "numeric": asExact, "real": asNumber, "double precision": asNumber, "bytea": asBytes,
	"date": asDate, "json": asDocument, "jsonb": asDocument,
	"timestamp without time zone": asInstant, "timestamp with time zone": asInstant,
}

var familiesOfMySQL = map[string]family{
	"tinyint": asInteger, "smallint": asInteger, "mediumint": asInteger, "int": asInteger, "bigint": asInteger, "year": asInteger,
	"char": asText, "varchar": asText, "tinytext": asText, "text": asText, "mediumtext": asText, "longtext": asText, "enum": asText, "set": asText,
	"uuid": asUUID, "decimal": asExact, "float": asNumber, "double": asNumber, "json": asDocument,
	"binary": asBytes, "varbinary": asBytes, "tinyblob": asBytes, "blob": asBytes, "mediumblob": asBytes, "longblob": asBytes, "bit": asBytes,
	"geometry": asBytes, "point": asBytes, "linestring": asBytes, "polygon": asBytes, "multipoint": asBytes, "multilinestring": asBytes,
	"multipolygon": asBytes, "geometrycollection": asBytes, "geomcollection": asBytes,
	"date": asDate, "datetime": asInstant, "timestamp": asInstant,
}

// familyOf is the family of a column's type. An array is not looked into.
func familyOf(d sqltext.Dialect, c column) family {
	base := c.base()
	switch d {
	case sqltext.PostgreSQL:
		if _, size, sized := strings.Cut(strings.ToLower(c.declared), "("); sized { // timestamp(3) with time zone
			_, zone, _ := strings.Cut(size, ")")
			base += zone
		}
		if strings.HasSuffix(base, ".citext") { // in a schema that is not on the path
			return asText
		}
		return familiesOfPostgres[base]
	case sqltext.MySQL:
		if strings.HasPrefix(strings.ToLower(c.declared), "tinyint(1)") {
			return asBit
		}
		base, _, _ = strings.Cut(base, " ") // int unsigned
		return familiesOfMySQL[base]
	}
	return familyOfSQLite(base)
}

// familyOfSQLite goes by the rules of affinity (https://www.sqlite.org/datatype3.html, 3.1), and
// by the names that reads go by.
func familyOfSQLite(base string) family {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(base, w) })
	}
	switch {
	case base == "json", base == "jsonb":
		return asDocument
	case base == "boolean", base == "bool":
		return asBoolean
	case has("int"):
		return asInteger
	case has("char", "clob", "text"):
		return asText
	case has("blob"):
		return asBytes
	case has("real", "floa", "doub", "numeric", "decimal"):
		return asNumber
	case base == "date":
		return asDate
	case base == "datetime", has("timestamp"):
		return asInstant
	}
	return asStored
}

// kindOf is the kind of parameter that names a column's values, "" if none does.
func kindOf(d sqltext.Dialect, c column) param.Kind {
	base := c.base()
	switch family := familyOf(d, c); {
	case c.array, base == "oid", base == "set":
		return ""
	case family == asInteger, family == asBit:
		return param.Int
	case family == asText:
		return param.String
	case family == asUUID:
		return param.UUID
	}
	return ""
}

var looksOf = map[family]string{
	asOther: "string, as the database writes it", asInteger: "integer", asText: "string", asUUID: "string", asBoolean: "true or false", asBit: "0 or 1",
	asExact: "number, all its digits", asNumber: "number", asBytes: "string of base64", asDate: `string, "2024-02-29"`,
	asInstant: `string, "2024-02-29T01:02:03Z"`, asDocument: "JSON", asStored: "as it is stored",
}

// looks says how a column's values look in a record, in a few words (docs/types.md).
func looks(d sqltext.Dialect, c column) string {
	if c.array {
		return "array"
	}
	return looksOf[familyOf(d, c)]
}

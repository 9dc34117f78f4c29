package sqltext

import "strings"

// Dialect is the flavour of SQL that a database speaks, as far as quotes,
// comments and bind parameters go.
type Dialect int

// The dialects. MariaDB speaks MySQL's.
const (
	SQLite Dialect = iota
	PostgreSQL
	MySQL
)

// grammar is what the lexer has to know of a dialect. Everything else is the
// same in all of them: strings in single quotes, comments from -- to the end of
// the line and between /* and */.
type grammar struct {
	name           string
	nameQuotes     string // that open a name; "[" is closed by "]"
	backslashes    string // quotes within which a backslash escapes
	prefixE        bool   // E'…' takes backslashes
	dollarQuotes   bool   // $tag$…$tag$ is a text
	nestedComments bool   // /* /* */ */ is one comment
	hashComments   bool   // # begins a comment
	spacedDashes   bool   // a comment needs white space behind --, so that 5--3 is 8
	bindSigns      string // that begin a bind parameter of the database's own
}

// grammars are the dialects as their databases speak them unless an option
// changes it: MySQL without ANSI_QUOTES and NO_BACKSLASH_ESCAPES, PostgreSQL with
// standard_conforming_strings.
var grammars = [...]grammar{
	SQLite: {name: "SQLite", nameQuotes: "\"`[", bindSigns: "?$:@"},
	PostgreSQL: {
		name: "PostgreSQL", nameQuotes: `"`, prefixE: true, dollarQuotes: true, nestedComments: true, bindSigns: "$",
	},
	MySQL: {
		name: "MySQL", nameQuotes: "\"`", backslashes: `'"`, hashComments: true, spacedDashes: true, bindSigns: "?",
	},
}

func (d Dialect) String() string { return grammars[d].name }

// closer returns the byte that ends a quoted text opened by open, or 0 when
// open opens none.
func (g *grammar) closer(open byte) byte {
	switch {
	case open != '\'' && strings.IndexByte(g.nameQuotes, open) < 0:
		return 0
	case open == '[':
		return ']'
	}
	return open
}

// escapes tells whether the quoted text that opens at text[at] takes backslash
// escapes. The E of E'…' is a word of its own and not the end of a name.
func (g *grammar) escapes(text string, at int) bool {
	if g.prefixE && text[at] == '\'' && at > 0 && text[at-1]|0x20 == 'e' {
		return at == 1 || !isNameByte(text[at-2])
	}
	return strings.IndexByte(g.backslashes, text[at]) >= 0
}

// isNameByte tells whether c may continue an SQL name. Bytes beyond ASCII are
// letters to all three databases. A number counts as a word like any other.
func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || isDigit(c) || isLetter(c)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

package source

// dialect is the flavour of SQL that a database speaks, as far as quoting and
// bind parameters go.
type dialect int

const (
	sqliteDialect dialect = iota
	postgresDialect
	mysqlDialect
)

func (d dialect) String() string {
	return [...]string{"SQLite", "PostgreSQL", "MySQL"}[d]
}

// backslashes tells whether a quoted text that opens at text[at] takes
// backslash escapes.
func (d dialect) backslashes(text string, at int) bool {
	switch d {
	case mysqlDialect:
		return text[at] == '\'' || text[at] == '"'
	case postgresDialect:
		// E'…', where the E is a token of its own and not the end of a name.
		return text[at] == '\'' && at > 0 && (text[at-1] == 'e' || text[at-1] == 'E') &&
			(at == 1 || !isNameByte(text[at-2]))
	}
	return false
}

// closer returns the byte that ends a quoted text opened by open, or 0 when
// open opens none.
func (d dialect) closer(open byte) byte {
	switch {
	case open == '\'' || open == '"':
		return open
	case open == '`' && d != postgresDialect:
		return open
	case open == '[' && d == sqliteDialect:
		return ']'
	}
	return 0
}

// isNameByte tells whether c may continue an SQL name. Bytes beyond ASCII are
// letters to all three databases.
func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || isDigit(c) || isLetter(c)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

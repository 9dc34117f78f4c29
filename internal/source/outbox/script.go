package outbox

import (
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// lockTimeout bounds how long a definition may wait for a table: what comes after it
// waits behind it, and so would the application's writes.
const lockTimeout = "SET LOCAL lock_timeout = '2s'"

// Dialect is the kind of database that the outbox is in.
func (o *Outbox) Dialect() sqltext.Dialect { return o.engine.Dialect() }

// Text is a script as the database's own client takes it (psql, mysql, mariadb, sqlite3):
// the notes as comments on top, then statements, each with its end.
//
// On PostgreSQL and SQLite it is one transaction. MySQL commits before and after every
// definition, and its client finds the end of a trigger's body only by a delimiter that is
// not in it.
func (o *Outbox) Text(s *Script) string {
	var b strings.Builder
	for _, note := range s.Notes {
		for i, line := range wrap(note, 98) {
			lead := "--   "
			if i == 0 {
				lead = "-- * "
			}
			b.WriteString(lead + line + "\n")
		}
	}
	switch o.Dialect() {
	case sqltext.PostgreSQL:
		b.WriteString("BEGIN;\n")
		if !slices.Contains(s.Statements, lockTimeout) {
			b.WriteString(lockTimeout + ";\n")
		}
		writeStatements(&b, s.Statements)
		b.WriteString("COMMIT;\n")
	case sqltext.MySQL:
		for _, text := range s.Statements {
			writeDelimited(&b, text)
		}
	default:
		b.WriteString("BEGIN IMMEDIATE;\n")
		writeStatements(&b, s.Statements)
		b.WriteString("COMMIT;\n")
	}
	return b.String()
}

// writeStatements ends each with a semicolon.
func writeStatements(b *strings.Builder, all []string) {
	for _, text := range all {
		b.WriteString(bare(text) + ";\n")
	}
}

// writeDelimited writes a statement for MySQL's client.
func writeDelimited(b *strings.Builder, text string) {
	text = bare(text)
	if !strings.Contains(text, ";") {
		b.WriteString(text + ";\n")
		return
	}
	delimiter := "//"
	for strings.Contains(text, delimiter) {
		delimiter += "/"
	}
	b.WriteString("DELIMITER " + delimiter + "\n" + text + delimiter + "\nDELIMITER ;\n")
}

// bare is a statement without an end of its own.
func bare(text string) string { return strings.TrimRight(text, "; \t\r\n") }

// wrap breaks a text into lines of at most width characters, where it has blanks.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

package source

import (
	"fmt"
	"strings"
)

// A pieceKind says what a stretch of a statement is.
type pieceKind int

const (
	plainPiece   pieceKind = iota // SQL that is passed on
	quotedPiece                   // a string, a quoted identifier or a dollar-quoted text
	commentPiece                  // a comment
	holePiece                     // a placeholder
)

// piece is a stretch of a statement. The texts of a statement's pieces, put
// together, are the statement.
type piece struct {
	kind pieceKind
	text string
}

// lexer cuts a statement into pieces. It knows just enough of each dialect to
// tell where quotes and comments end: whether the rest is SQL is for the
// database to say.
type lexer struct {
	dialect dialect
	text    string
	pieces  []piece
	start   int // of the plain stretch that is being read
}

// split cuts text into pieces. The error is about a quote or a comment that
// does not end; the pieces still make up text then.
func split(d dialect, text string) ([]piece, error) {
	l := lexer{dialect: d, text: text}
	for i := 0; i < len(text); {
		end, kind, err := l.special(i)
		if err != nil {
			l.emit(i, len(text), quotedPiece)
			return l.pieces, err
		}
		if end > i {
			l.emit(i, end, kind)
			i = end
			continue
		}
		i++
	}
	l.emit(len(text), len(text), plainPiece)
	return l.pieces, nil
}

// emit adds the plain stretch before from, and then text[from:to] as kind.
func (l *lexer) emit(from, to int, kind pieceKind) {
	if from > l.start {
		l.pieces = append(l.pieces, piece{plainPiece, l.text[l.start:from]})
	}
	if to > from {
		l.pieces = append(l.pieces, piece{kind, l.text[from:to]})
	}
	l.start = to
}

// special returns the end of the quote, comment or placeholder that opens at
// i, or i when none does.
func (l *lexer) special(i int) (int, pieceKind, error) {
	text, c := l.text, l.text[i]
	if closer := l.dialect.closer(c); closer != 0 {
		end, err := l.quoted(i, closer)
		return end, quotedPiece, err
	}
	switch {
	case c == '{':
		return i + len(hole(text[i:])), holePiece, nil
	case c == '#' && l.dialect == mysqlDialect, c == '-' && l.dashes(i):
		return lineEnd(text, i), commentPiece, nil
	case c == '/' && strings.HasPrefix(text[i:], "/*"):
		end, err := l.block(i)
		return end, commentPiece, err
	case c == '$' && l.dialect == postgresDialect:
		end, err := l.dollars(i)
		return end, quotedPiece, err
	}
	return i, plainPiece, nil
}

// quoted returns the end of the quoted text that opens at i.
func (l *lexer) quoted(i int, closer byte) (int, error) {
	escapes := l.dialect.backslashes(l.text, i)
	for j := i + 1; j < len(l.text); j++ {
		switch {
		case escapes && l.text[j] == '\\':
			j++
		case l.text[j] != closer:
		case closer != ']' && j+1 < len(l.text) && l.text[j+1] == closer:
			j++ // doubled
		default:
			if escapes && l.dialect == postgresDialect {
				if next := continued(l.text, j+1); next > 0 {
					j = next
					continue
				}
			}
			return j + 1, nil
		}
	}
	return 0, fmt.Errorf("the quote %q at byte %d does not end", l.text[i:i+1], i)
}

// continued returns the position of the quote that continues a PostgreSQL
// string whose first part ended before i, or 0: strings with nothing but
// white space and at least one line end between them are one string, and the
// escapes of the first hold for all.
func continued(text string, i int) int {
	lines := false
	for ; i < len(text) && isSpace(text[i]); i++ {
		lines = lines || text[i] == '\n' || text[i] == '\r'
	}
	if lines && i < len(text) && text[i] == '\'' {
		return i
	}
	return 0
}

// dashes tells whether a comment to the end of the line opens at i. MySQL
// wants white space after the dashes, so that 5--3 is 8.
func (l *lexer) dashes(i int) bool {
	if !strings.HasPrefix(l.text[i:], "--") {
		return false
	}
	return l.dialect != mysqlDialect || i+2 == len(l.text) || l.text[i+2] <= ' '
}

func lineEnd(text string, i int) int {
	if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(text)
}

// block returns the end of the comment that opens at i. Only PostgreSQL nests
// them.
func (l *lexer) block(i int) (int, error) {
	depth := 1
	for j := i + 2; j+1 < len(l.text); j++ {
		switch {
		case l.text[j] == '*' && l.text[j+1] == '/':
			j++
			if depth--; depth == 0 {
				return j + 1, nil
			}
		case l.text[j] == '/' && l.text[j+1] == '*' && l.dialect == postgresDialect:
			depth++
			j++
		}
	}
	return 0, fmt.Errorf("the comment at byte %d does not end", i)
}

// dollars returns the end of the dollar-quoted text that opens at i, or i when
// the dollar opens none: inside a name, or before a number.
func (l *lexer) dollars(i int) (int, error) {
	if i > 0 && isNameByte(l.text[i-1]) {
		return i, nil
	}
	j := i + 1
	for j < len(l.text) && l.text[j] != '$' && isNameByte(l.text[j]) && (j > i+1 || !isDigit(l.text[j])) {
		j++
	}
	if j == len(l.text) || l.text[j] != '$' {
		return i, nil
	}
	tag := l.text[i : j+1]
	n := strings.Index(l.text[j+1:], tag)
	if n < 0 {
		return 0, fmt.Errorf("the dollar quote %q at byte %d does not end", tag, i)
	}
	return j + 1 + n + len(tag), nil
}

// hole returns the text of the placeholder that text begins with, or "":
// {name}, {name.member.member}, either with a question mark before the brace.
func hole(text string) string {
	if len(text) < 3 || text[0] != '{' {
		return ""
	}
	part := 0 // bytes since the last dot
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case isLetter(c) || c == '_' || part > 0 && (isDigit(c) || c == '-'):
			part++
		case c == '.' && part > 0:
			part = 0
		case c == '?' && part > 0 && i+1 < len(text) && text[i+1] == '}':
			return text[:i+2]
		case c == '}' && part > 0:
			return text[:i+1]
		default:
			return ""
		}
	}
	return ""
}

// holesIn calls found with each placeholder that text holds.
func holesIn(text string, found func(string)) {
	for i := 0; i < len(text); i++ {
		if h := hole(text[i:]); h != "" {
			found(h)
			i += len(h) - 1
		}
	}
}

// parts splits a placeholder into its names and whether it may be missing.
func parts(hole string) (names []string, optional bool) {
	inner := hole[1 : len(hole)-1]
	inner, optional = strings.CutSuffix(inner, "?")
	return strings.Split(inner, "."), optional
}

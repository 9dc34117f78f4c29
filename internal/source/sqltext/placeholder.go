package sqltext

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hearth/internal/param"
)

// A placeholder is {name} or {name.member.member}; a question mark before the
// closing brace says that the member may be missing.
const placeholderPattern = `\{[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*\??\}`

var (
	placeholderHere     = regexp.MustCompile(`^` + placeholderPattern)
	placeholderAnywhere = regexp.MustCompile(placeholderPattern)
)

// namesOf splits a placeholder into its names and whether it may be missing.
func namesOf(placeholder string) (names []string, optional bool) {
	inner, optional := strings.CutSuffix(placeholder[1:len(placeholder)-1], "?")
	return strings.Split(inner, "."), optional
}

// RowName is the placeholder of a row that has changed.
const RowName = "row"

// ParseRow takes the text of a query apart that is asked about a changed row: {row.column}
// is a column of it, and there are no other placeholders. The fields of the statement are
// columns.
func ParseRow(d Dialect, text string) (*Statement, error) {
	s, err := parse(d, text, scope{name: RowName})
	if err != nil {
		return nil, err
	}
	switch {
	case s.IsSeveral():
		return nil, errors.New("it is more than one statement; write one query")
	case len(s.Tables) > 0 || !s.lexemes.at(0).oneOf("SELECT", "WITH", "(", "VALUES", "TABLE"):
		return nil, errors.New("it is no query; write a SELECT with one column for each parameter of the path")
	}
	return s, nil
}

// Columns are the columns of the changed row that a query of ParseRow asks for.
func (s *Statement) Columns() (names []string) {
	for _, f := range s.Fields {
		if !slices.Contains(names, f.Path[0]) {
			names = append(names, f.Path[0])
		}
	}
	return names
}

// scope is what placeholders may name.
type scope struct {
	params []param.Param
	name   string // of what has members: "body", "row", or "" for nothing
}

// has tells whether the first name of a placeholder is known.
func (c scope) has(name string) bool {
	return indexOf(c.params, name) >= 0 || c.name != "" && name == c.name
}

// wrong says what is wrong with a placeholder that names a member.
func (c scope) wrong(text string, f Field) error {
	switch {
	case c.name == BodyName && f.Optional && len(f.Path) == 0:
		return fmt.Errorf("placeholder %s: the body is never missing; write {body}", text)
	case c.name == RowName && (f.Optional || len(f.Path) != 1):
		return fmt.Errorf("placeholder %s: a column of the changed row is written {row.column}", text)
	}
	return nil
}

// Package sqltext reads the text of SQL statements: their placeholders, the
// tables and columns that they write, and the column that tells which row a
// select has found. It knows no driver and no connection.
//
// It is no parser. It cuts a statement into lexemes by the grammar of the
// dialect (see grammar), pairs its brackets, and looks for a few plain shapes:
// lists of columns and values, SET column = …, column = {name}, a select list.
// What has another shape is passed on to the database as it is, and nothing is
// concluded from it. That is harmless: a value without a destination is bound by
// what it is, a key column that is not found is one that the operator is told
// of, and names that the text does not tell are asked of the database. So the
// readers are strict where a wrong guess would do harm, and nowhere else.
//
// No library does this for three dialects. PostgreSQL's own parser needs cgo or a
// WebAssembly runtime, and refuses what the other two say; those of Vitess and
// TiDB know MySQL alone, and each is larger than this server. A lexer such as
// go-sqllexer is made to hide values in logs: it knows no SQLite, and takes a
// backslash for an escape in every string, which would end PostgreSQL's at the
// wrong quote.
package sqltext

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/param"
)

// BodyName is the placeholder of the request's body.
const BodyName = "body"

// Statement is SQL with placeholders, taken apart once and bound per request. Of
//
//	UPDATE t SET a = {body.a} WHERE id = {id}
//
// the chunks are "UPDATE t SET a = ", " WHERE id = " and "", the slots a member of
// the body and a path parameter, their destinations t.a and id, and the one table
// is t. A Statement does not change after FindMany, and may be used by all
// requests at once.
type Statement struct {
	Dialect      Dialect
	Chunks       []string      // the SQL around the slots: one more than slots
	Slots        []Slot        // the placeholders, in their order
	Fields       []Field       // members of the body that slots refer to
	Destinations []Destination // of the slots
	Tables       []Table       // that the statement writes to
	Many         ManyStyle     // of a select_many, once FindMany has found it
	// CountsRows says that the number of rows that the database reports for the
	// statement is that of the rows it has changed. That of a CALL is not, nor
	// that of a SELECT of a function, and WITH may hide further changes.
	CountsRows bool
	lexemes    phrase
	executable bool // a comment is none: MySQL executes /*! … */
}

// Slot is one occurrence of a placeholder: a path parameter, or a field of the
// body.
type Slot struct {
	Param int // index of the path parameter, or -1
	Field int // index into Fields when Param is -1
}

// Field is a member of the body, or the body itself when Path is empty.
type Field struct {
	Path     []string
	Optional bool
}

func (f Field) String() string { return strings.Join(f.Path, ".") }

// Parse takes text apart. withBody says whether placeholders of the body are
// known in it. Faults are reported all at once.
func Parse(d Dialect, text string, params []param.Param, withBody bool) (*Statement, error) {
	known := scope{params: params}
	if withBody {
		known.name = BodyName
	}
	return parse(d, text, known)
}

// parse takes text apart, whose placeholders name what is known.
func parse(d Dialect, text string, known scope) (*Statement, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the statement is empty")
	}
	if strings.Contains(text, "\x00") { // where SQLite ends it
		return nil, errors.New("the statement has a NUL byte; remove it")
	}
	all, err := lex(d, text)
	if err != nil {
		return nil, err
	}
	s := &Statement{Dialect: d}
	var faults []error
	start := 0
	for _, l := range all {
		switch l.kind {
		case placeholder:
			slot, err := s.slot(l.text, known)
			faults = append(faults, err)
			s.Chunks, s.Slots = append(s.Chunks, text[start:l.from]), append(s.Slots, slot)
			start = l.to
		case quotedName, doubleQuoted, literal:
			faults = append(faults, quotedPlaceholders(text[l.from:l.to], known)...)
		case comment:
			text := strings.TrimPrefix(l.text, "/*M")
			s.executable = s.executable || d == MySQL && strings.HasPrefix(strings.TrimPrefix(text, "/*"), "!")
		case word, sign:
			if d.isBindParameter(text, l.from) {
				faults = append(faults, fmt.Errorf("%q is a bind parameter of %s; write a placeholder such as {name}", text[l.from:l.from+1], d))
			}
		}
	}
	s.Chunks = append(s.Chunks, text[start:])
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s.lexemes = all.linked()
	first := slices.IndexFunc(s.lexemes, func(l lexeme) bool { return !l.is("(") })
	s.CountsRows = s.lexemes.at(first).oneOf("INSERT", "UPDATE", "REPLACE", "MERGE")
	writes := s.lexemes.writes(len(s.Slots))
	s.Destinations, s.Tables = writes.destinations, writes.tables
	return s, nil
}

// slot resolves a placeholder. Members that are named twice are one field, but a
// member that may be missing in one place and not in another is two.
func (s *Statement) slot(text string, known scope) (Slot, error) {
	names, optional := namesOf(text)
	if names[0] == known.name {
		f := Field{Path: names[1:], Optional: optional}
		if err := known.wrong(text, f); err != nil {
			return Slot{}, err
		}
		i := slices.IndexFunc(s.Fields, func(g Field) bool { return slices.Equal(f.Path, g.Path) && f.Optional == g.Optional })
		if i < 0 {
			i = len(s.Fields)
			s.Fields = append(s.Fields, f)
		}
		return Slot{Param: -1, Field: i}, nil
	}
	i := indexOf(known.params, names[0])
	switch {
	case known.name == RowName:
		return Slot{}, fmt.Errorf("unknown placeholder %s; a column of the changed row is written {row.column}", text)
	case names[0] == BodyName:
		return Slot{}, fmt.Errorf("unknown placeholder %s: only upsert has a body", text)
	case i < 0:
		return Slot{}, fmt.Errorf("unknown placeholder %s; the path has %s", text, ParamNames(known.params))
	case len(names) > 1 || optional:
		return Slot{}, fmt.Errorf("unknown placeholder %s: a path parameter is written {%s}", text, names[0])
	}
	return Slot{Param: i}, nil
}

func indexOf(params []param.Param, name string) int {
	return slices.IndexFunc(params, func(p param.Param) bool { return p.Name == name })
}

// ParamNames lists path parameters for a message.
func ParamNames(params []param.Param) string {
	if len(params) == 0 {
		return "no parameters"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = "{" + p.Name + "}"
	}
	return strings.Join(names, ", ")
}

// quotedPlaceholders finds known placeholders inside quotes, where they would
// be text.
func quotedPlaceholders(text string, known scope) (faults []error) {
	for _, found := range placeholderAnywhere.FindAllString(text, -1) {
		names, _ := namesOf(found)
		if known.has(names[0]) {
			faults = append(faults, fmt.Errorf("placeholder %s stands inside quotes, where it is text; take the quotes away", found))
		}
	}
	return faults
}

// isBindParameter tells whether a bind parameter of the database's own begins
// at i: it would shift the numbering of ours.
func (d Dialect) isBindParameter(text string, i int) bool {
	var before, after byte
	if i > 0 {
		before = text[i-1]
	}
	if i+1 < len(text) {
		after = text[i+1]
	}
	free := !isNameByte(before) && before != ':' // a cast is no parameter
	named := isDigit(after) || d == SQLite && (isLetter(after) || after == '_')
	return strings.IndexByte(grammars[d].bindSigns, text[i]) >= 0 && (text[i] == '?' || free && named)
}

// Binds tells whether the statement binds the path parameter.
func (s *Statement) Binds(param int) bool {
	return slices.ContainsFunc(s.Slots, func(sl Slot) bool { return sl.Param == param })
}

// Compared returns the columns that are compared by = with a path parameter,
// which stands to the right, and the indexes of the parameters.
func (s *Statement) Compared() map[string]int {
	columns := map[string]int{}
	for i, d := range s.Destinations {
		if d.equal && s.Slots[i].Param >= 0 {
			columns[d.Column] = s.Slots[i].Param
		}
	}
	return columns
}

// Select reads the list of the statement. It is empty for what does not begin
// with SELECT.
func (s *Statement) Select() Select {
	if !s.lexemes.at(0).is("SELECT") {
		return Select{}
	}
	return s.lexemes.selectAt(0)
}

// HasAlternatives tells whether the statement says OR. With k = {id} OR n = {id}
// the row that is found may have any n.
func (s *Statement) HasAlternatives() bool {
	return slices.ContainsFunc(s.lexemes, func(l lexeme) bool { return l.is("OR") })
}

// IsSeveral tells whether something follows a semicolon, so that the text is more
// than one statement.
func (s *Statement) IsSeveral() bool {
	i := slices.IndexFunc(s.lexemes, func(l lexeme) bool { return l.is(";") })
	return i >= 0 && i < len(s.lexemes)-1
}

// ManyStyle is how a select_many takes its list of values.
type ManyStyle int

// The styles of a select_many.
const (
	ManyNone  ManyStyle = iota // the statement is no select_many
	ManyList                   // IN ({name}): one bind parameter per value
	ManyArray                  // = ANY({name}): one array
)

// FindMany sets how a select_many takes its list, or says why it cannot. The one
// parameter may stand in several places, all of one style.
func (s *Statement) FindMany() error {
	for i, l := range s.lexemes {
		if l.kind != placeholder {
			continue
		}
		style := ManyNone
		if before := s.lexemes.at(i - 2); s.lexemes.at(i - 1).is("(") {
			switch {
			case before.is("IN") && s.lexemes.at(i+1).is(")"):
				style = ManyList
			case before.is("ANY") && s.Dialect == PostgreSQL:
				style = ManyArray
			}
		}
		if style == ManyNone || s.Many != ManyNone && s.Many != style {
			return errors.New("the parameter has to stand as IN ({name}), or in PostgreSQL as = ANY({name})")
		}
		s.Many = style
	}
	if s.Many == ManyNone {
		return errors.New("the parameter is not bound; write IN ({name})")
	}
	return nil
}

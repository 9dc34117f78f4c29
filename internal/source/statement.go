package source

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/param"
)

// Param is a path parameter of a resource.
type Param = param.Param

// bodyName is the placeholder of the request's body.
const bodyName = "body"

// statement is SQL with placeholders, taken apart once and bound per request.
type statement struct {
	dialect dialect
	chunks  []string // the SQL around the slots: one more than slots
	slots   []slot
	fields  []field // members of the body that slots refer to
	columns map[string]int
	many    manyStyle
	tokens  []token     // the text in words, for finding columns
	targets []target    // of the slots
	tables  []tableName // that the statement writes to
	words   []sqlToken  // the text as findTargets reads it
}

// slot is one occurrence of a placeholder: a path parameter, or a field of
// the body.
type slot struct {
	param int // index of the path parameter, or -1
	field int // index into fields when param is -1
}

// field is a member of the body, or the body itself when path is empty.
type field struct {
	path     []string
	optional bool
}

func (f field) String() string { return strings.Join(f.path, ".") }

// manyStyle is how a select_many takes its list of values.
type manyStyle int

const (
	manyNone  manyStyle = iota
	manyList            // IN ({name}): one bind parameter per value
	manyArray           // = ANY({name}): one array
)

// parse takes text apart. withBody says whether placeholders of the body are
// known in it. Faults are reported all at once.
func parse(d dialect, text string, params []Param, withBody bool) (*statement, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the statement is empty")
	}
	pieces, err := split(d, text)
	if err != nil {
		return nil, err
	}
	s := &statement{dialect: d, columns: map[string]int{}, tokens: tokens(pieces, params)}
	var faults []error
	var sql strings.Builder
	for i, p := range pieces {
		switch p.kind {
		case holePiece:
			sl, err := s.slot(p.text, params, withBody)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			s.chunks = append(s.chunks, sql.String())
			s.slots = append(s.slots, sl)
			sql.Reset()
			if sl.param >= 0 {
				s.compared(pieces, i, sl.param)
			}
			continue
		case quotedPiece:
			faults = append(faults, quotedHoles(p.text, params, withBody)...)
		case plainPiece:
			faults = append(faults, bareParameters(d, p.text)...)
		}
		sql.WriteString(p.text)
	}
	s.chunks = append(s.chunks, sql.String())
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s.words = sqlTokens(d, pieces)
	s.targets, s.tables = findTargets(s.words, len(s.slots))
	return s, nil
}

// slot resolves a placeholder.
func (s *statement) slot(text string, params []Param, withBody bool) (slot, error) {
	names, optional := parts(text)
	if names[0] == bodyName && withBody {
		f := field{path: names[1:], optional: optional}
		if optional && len(f.path) == 0 {
			return slot{}, fmt.Errorf("placeholder %s: the body is never missing; write {body}", text)
		}
		i := slices.IndexFunc(s.fields, func(g field) bool {
			return slices.Equal(f.path, g.path) && f.optional == g.optional
		})
		if i < 0 {
			i = len(s.fields)
			s.fields = append(s.fields, f)
		}
		return slot{param: -1, field: i}, nil
	}
	i := paramIndex(params, names[0])
	switch {
	case names[0] == bodyName:
		return slot{}, fmt.Errorf("unknown placeholder %s: only upsert has a body", text)
	case i < 0:
		return slot{}, fmt.Errorf("unknown placeholder %s; the path has %s", text, paramNames(params))
	case len(names) > 1 || optional:
		return slot{}, fmt.Errorf("unknown placeholder %s: a path parameter is written {%s}", text, names[0])
	}
	return slot{param: i}, nil
}

func paramIndex(params []Param, name string) int {
	return slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
}

func paramNames(params []Param) string {
	if len(params) == 0 {
		return "no parameters"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = "{" + p.Name + "}"
	}
	return strings.Join(names, ", ")
}

// quotedHoles finds known placeholders inside quotes, where they would be text.
func quotedHoles(text string, params []Param, withBody bool) (faults []error) {
	holesIn(text, func(h string) {
		names, _ := parts(h)
		if paramIndex(params, names[0]) >= 0 || withBody && names[0] == bodyName {
			faults = append(faults, fmt.Errorf("placeholder %s stands inside quotes, where it is text; take the quotes away", h))
		}
	})
	return faults
}

// bareParameters finds the database's own bind parameters, which would shift
// the numbering of ours.
func bareParameters(d dialect, text string) (faults []error) {
	for i := 0; i < len(text); i++ {
		next := byte(0)
		if i+1 < len(text) {
			next = text[i+1]
		}
		named := isLetter(next) || next == '_' || isDigit(next)
		free := i == 0 || !isNameByte(text[i-1]) && text[i-1] != ':' // a cast is no parameter
		bare := false
		switch text[i] {
		case '?':
			bare = d != postgresDialect
		case '$':
			bare = free && (d == postgresDialect && isDigit(next) || d == sqliteDialect && named)
		case ':', '@':
			bare = d == sqliteDialect && free && named
		}
		if bare {
			faults = append(faults, fmt.Errorf("%q is a bind parameter of %s; write a placeholder such as {name}", text[i:i+1], d))
		}
	}
	return faults
}

// compared notes the column of col = {param}, at the placeholder pieces[i].
func (s *statement) compared(pieces []piece, i, param int) {
	var before strings.Builder
	for _, p := range pieces[:i] {
		if p.kind != commentPiece {
			before.WriteString(p.text)
		}
	}
	text, ok := strings.CutSuffix(strings.TrimRightFunc(before.String(), isSpaceRune), "=")
	if !ok || text == "" || strings.ContainsRune("<>!:=", rune(text[len(text)-1])) {
		return
	}
	if name := lastName(s.dialect, strings.TrimRightFunc(text, isSpaceRune)); name != "" {
		s.columns[name] = param
	}
}

// either tells whether the statement takes alternatives. With k = {id} OR n = {id}
// the row that is found may have any n, so where the upsert says which column
// the parameter is, a comparison here does not.
func (s *statement) either() bool {
	return slices.ContainsFunc(s.tokens, func(t token) bool { return t.is("OR") })
}

func isSpaceRune(r rune) bool { return r < 0x80 && isSpace(byte(r)) }

// lastName returns the identifier that text ends with, without its quotes and
// its qualifier.
func lastName(d dialect, text string) string {
	if text == "" {
		return ""
	}
	end := text[len(text)-1]
	for _, open := range []byte{'"', '`', '['} {
		if end != d.closer(open) || d == mysqlDialect && open == '"' {
			continue
		}
		if i := strings.LastIndexByte(text[:len(text)-1], open); i >= 0 {
			return text[i+1 : len(text)-1]
		}
	}
	i := len(text)
	for i > 0 && isNameByte(text[i-1]) {
		i--
	}
	if i == len(text) || isDigit(text[i]) {
		return ""
	}
	return text[i:]
}

// binds tells whether the statement binds the path parameter.
func (s *statement) binds(param int) bool {
	return slices.ContainsFunc(s.slots, func(sl slot) bool { return sl.param == param })
}

// query is a statement ready for the database.
type query struct {
	sql       string
	args      []any
	from      []int           // the slot of each argument; the first of those that share one
	one       bool            // one row is expected: a second is read to know of it, no third
	keyed     bool            // a column json is the record itself although a key stands before it
	varies    bool            // the text depends on the request: do not keep it prepared
	uncounted bool            // the number of rows it changes tells nothing
	remedy    remedy          // for the fault that the attempt before met
	documents map[string]bool // columns that are JSON although the driver calls them text
}

// bind puts values in: args for path parameters, fields for the body's.
// In PostgreSQL a placeholder that stands twice is one parameter.
func (s *statement) bind(args Args, fields []any) query {
	b := binder{statement: s}
	for i, sl := range s.slots {
		b.sql.WriteString(s.chunks[i])
		b.slot = i
		if sl.param >= 0 {
			b.add(sl, bindArg(s.dialect, args[sl.param]))
		} else {
			b.add(sl, fields[sl.field])
		}
	}
	return b.finish()
}

// bindMany puts the values of the one path parameter of a select_many in.
func (s *statement) bindMany(values []any) query {
	b := binder{statement: s}
	for i, sl := range s.slots {
		b.sql.WriteString(s.chunks[i])
		if s.many == manyArray {
			b.add(sl, arrayLiteral(values))
			continue
		}
		for j, v := range values {
			if j > 0 {
				b.sql.WriteByte(',')
			}
			b.add(slot{param: j}, bindArg(s.dialect, v))
		}
	}
	q := b.finish()
	q.varies = s.many == manyList
	return q
}

// binder writes a query.
type binder struct {
	statement *statement
	sql       strings.Builder
	args      []any
	numbers   []slot // PostgreSQL: the slot of each $n
	slot      int    // that is being added
	from      []int
}

func (b *binder) add(sl slot, value any) {
	b.pad()
	if b.statement.dialect != postgresDialect {
		b.sql.WriteByte('?')
		b.args = append(b.args, value)
		b.from = append(b.from, b.slot)
		return
	}
	n := slices.Index(b.numbers, sl)
	if n < 0 {
		n = len(b.numbers)
		b.numbers = append(b.numbers, sl)
		b.args = append(b.args, value)
		b.from = append(b.from, b.slot)
	}
	b.sql.WriteByte('$')
	b.sql.WriteString(strconv.Itoa(n + 1))
	b.sql.WriteByte(' ') // a digit after the placeholder must not become part of it
}

// pad keeps a bind parameter from growing together with a name before it.
func (b *binder) pad() {
	if text := b.sql.String(); text != "" && isNameByte(text[len(text)-1]) {
		b.sql.WriteByte(' ')
	}
}

func (b *binder) finish() query {
	last := b.statement.chunks[len(b.statement.chunks)-1]
	if len(b.statement.slots) > 0 && last != "" && isNameByte(last[0]) {
		b.sql.WriteByte(' ')
	}
	b.sql.WriteString(last)
	return query{sql: b.sql.String(), args: b.args, from: b.from}
}

// bindArg turns a path parameter's value into a bind value. PostgreSQL gets
// text and parses it as the type it inferred, so that no number is rounded or
// refused on the way.
func bindArg(d dialect, v any) any {
	if n, ok := v.(int64); ok && d == postgresDialect {
		return strconv.FormatInt(n, 10)
	}
	return v
}

// arrayLiteral writes values as a PostgreSQL array.
func arrayLiteral(values []any) string {
	b := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		switch v := v.(type) {
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case string:
			b = append(b, '"')
			for j := range len(v) {
				if v[j] == '"' || v[j] == '\\' {
					b = append(b, '\\')
				}
				b = append(b, v[j])
			}
			b = append(b, '"')
		}
	}
	return string(append(b, '}'))
}

// findMany sets how a select_many takes its list, or says why it cannot.
func (s *statement) findMany() error {
	for i := range s.slots {
		before := strings.ToUpper(strings.TrimRightFunc(s.chunks[i], isSpaceRune))
		after := strings.TrimLeftFunc(s.chunks[i+1], isSpaceRune)
		style := manyNone
		if open, ok := strings.CutSuffix(before, "("); ok {
			switch word := lastName(s.dialect, strings.TrimRightFunc(open, isSpaceRune)); {
			case word == "IN" && strings.HasPrefix(after, ")"):
				style = manyList
			case word == "ANY" && s.dialect == postgresDialect:
				style = manyArray
			}
		}
		if style == manyNone || s.many != manyNone && s.many != style {
			return errors.New("the parameter has to stand as IN ({name}), or in PostgreSQL as = ANY({name})")
		}
		s.many = style
	}
	if s.many == manyNone {
		return errors.New("the parameter is not bound; write IN ({name})")
	}
	return nil
}

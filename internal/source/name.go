package source

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/param"
	"hearth/internal/source/sqltext"
)

// A record has one name. A database may find one row by several: a collation
// that ignores case, accents or trailing blanks, a number that is compared with
// text, a pattern. Copies are kept, invalidated and guarded by name, so a row
// under two names would be written under the one and go on being served, old,
// under the other. So the row itself has to say by which name it goes: its key
// columns are compared with the parameters, and a row that is another's is
// neither served nor changed.

// SpellingError says that the row found by a record's parameters goes by other
// ones. It is no fault of the source; the caller keeps nothing under the name
// that was asked for.
type SpellingError struct {
	// Args are the row's own parameters, by which it is found again. They are
	// nil when no parameter can have the value that the row has.
	Args Args
}

func (e *SpellingError) Error() string {
	return "the row that these parameters find goes by other ones"
}

// SpellingErrors are those of a LoadMany, by the place in its list. The records
// of the other places are good.
type SpellingErrors map[int]*SpellingError

func (e SpellingErrors) Error() string {
	return strconv.Itoa(len(e)) + " of the rows found go by other parameters"
}

// keyColumn tells where a result shows the value of one path parameter.
type keyColumn struct {
	param   Param
	outputs []string // columns that may show it, by the select's text
	named   string   // by the configuration; of a document a member, dots descend
	vouched bool     // the configuration says that nothing has to be shown
}

// hidden tells whether the row's own value cannot be seen.
func (k keyColumn) hidden() bool { return !k.vouched && k.named == "" && len(k.outputs) == 0 }

// keyColumns derives them from the select, where the configuration names none.
func keyColumns(spec Spec, selects *sqltext.Statement) (keys []keyColumn, faults []error) {
	outputs := selects.KeyOutputs(len(spec.Params), spec.Many)
	for i, p := range spec.Params {
		k := keyColumn{param: p, outputs: outputs[i]}
		if named, ok := spec.KeyColumns[p.Name]; ok {
			k.outputs, k.named, k.vouched = nil, named, named == ""
		}
		keys = append(keys, k)
	}
	for name := range spec.KeyColumns {
		if !slices.ContainsFunc(spec.Params, func(p Param) bool { return p.Name == name }) {
			faults = append(faults, fmt.Errorf("key_columns: the path has no parameter %q; it has %s", name, sqltext.ParamNames(spec.Params)))
		}
	}
	return keys, faults
}

// Doubts lists what lets one row answer under several names: parameters whose
// value no column of the record shows. They are for the operator.
func Doubts(r Records) []string {
	t, ok := r.(interface{ doubts() []string })
	if !ok {
		return nil
	}
	return t.doubts()
}

func (t *table) doubts() (all []string) {
	for _, k := range t.keys {
		if k.hidden() {
			all = append(all, fmt.Sprintf("it shows no column that is known to be {%s}, so a row that the database finds by several spellings is kept under each of them: select the column that it is compared with, or name it in key_columns", k.param.Name))
		}
	}
	return all
}

// columns finds the key's columns in a result: an index each, or -1 where
// nothing shows the value.
func (t *table) keyIndices(names []string, document bool) ([]int, error) {
	at := make([]int, len(t.keys))
	for i, k := range t.keys {
		at[i] = -1
		for _, name := range append(k.outputs, k.named) {
			if name == "" || document || at[i] >= 0 {
				continue
			}
			if at[i] = slices.Index(names, name); at[i] < 0 {
				at[i] = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
			}
		}
		if at[i] < 0 && k.named != "" && !document {
			return nil, fmt.Errorf("key_columns: select returns no column %q for {%s}; name one of %q", k.named, k.param.Name, names)
		}
	}
	return at, nil
}

// own returns the i-th parameter's value by the row's own word; shown is false
// where nothing shows it.
func (t *table) own(s *shape, row [][]byte, i int) (cell []byte, shown bool, err error) {
	if at := s.keys[i]; at >= 0 {
		return row[at], true, nil
	}
	if k := t.keys[i]; s.document && k.named != "" {
		cell, err := memberOf(row[0], strings.Split(k.named, "."))
		if err != nil {
			return nil, false, fmt.Errorf("key_columns: the document has no member %q for {%s}", k.named, k.param.Name)
		}
		return cell, true, nil
	}
	return nil, false, nil
}

var errNoMember = errors.New("no such member")

// memberOf returns the member of a JSON object at path.
func memberOf(object []byte, path []string) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != jsontext.KindBeginObject {
		return nil, errNoMember
	}
	for dec.PeekKind() == jsontext.KindString {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		found := name.String() == path[0]
		value, err := dec.ReadValue()
		switch {
		case err != nil:
			return nil, err
		case found && len(path) == 1:
			return bytes.Clone(value), nil
		case found:
			return memberOf(bytes.Clone(value), path[1:])
		}
	}
	return nil, errNoMember
}

// lookup reads the rows of other parameters, in the same view of the data.
type lookup func(Args) (*result, error)

// judge proves that the rows are those of args. It returns a *SpellingError if
// they are another record's.
func (t *table) judge(s *shape, rows [][][]byte, args Args, find lookup) error {
	if !s.keyed || len(rows) == 0 || s.document && !t.many && string(rows[0][0]) == "null" {
		return nil
	}
	own, fit, err := t.names(s, rows, args)
	if err != nil {
		return t.faulty(err)
	}
	short, shorter := trimmed(own)
	switch _, padded := trimmed(args); {
	case slices.Equal(own, args) && !padded:
		return nil
	case slices.Equal(short, args): // the database pads, as char(n) does: the text without is the name
		return nil
	case !fit:
		return &SpellingError{}
	}
	// Where blanks at the end count for nothing, the name is the one without;
	// whether they do, only the database knows.
	candidates := []Args{own}
	if shorter {
		candidates = []Args{short, own}
	}
	for _, as := range writtenOtherwise {
		if name, differs := rewritten(own, as); differs {
			candidates = append(candidates, name)
		}
	}
	for _, name := range candidates {
		if slices.Equal(name, args) {
			return nil
		}
		found, err := t.finds(name, own, find)
		if err != nil {
			return err
		}
		if found {
			return &SpellingError{Args: name}
		}
	}
	return t.faulty(errors.New("the row that was found shows another key than it was asked for, and is not found by that one: what select compares with the parameter is not what it returns; name the column that tells the key in key_columns"))
}

// faulty marks what an operator has to mend, and remembers it.
func (t *table) faulty(err error) error {
	err = Mark(fmt.Errorf("select: %w", err), ErrFault)
	t.refusals.Met(KeySelect, err)
	return err
}

// names returns the parameters by which the rows go; what they do not show stays
// as it was asked for. fit is false when no parameter can have such a value.
func (t *table) names(s *shape, rows [][][]byte, args Args) (own Args, fit bool, err error) {
	fit = true
	for r, row := range rows {
		name := slices.Clone(args)
		for i, k := range t.keys {
			cell, shown, err := t.own(s, row, i)
			if err != nil {
				return nil, false, err
			}
			if !shown {
				continue
			}
			v, ok := valueOf(k.param, cell, args[i])
			if !ok {
				v = cellText(cell)
			}
			name[i], fit = v, fit && ok
		}
		if r > 0 && !slices.Equal(name, own) {
			return nil, false, errors.New("the rows found by one key show several; make the comparison exact, or name the column that tells the key in key_columns")
		}
		own = name
	}
	return own, fit, nil
}

// valueOf returns the value of a parameter that a cell shows, in canonical form.
// asked is what it was asked for.
func valueOf(p Param, cell []byte, asked any) (v any, ok bool) {
	text := cellText(cell)
	switch {
	case len(cell) == 0 || cell[0] == '{' || cell[0] == '[' || string(cell) == "null":
		return nil, false
	case p.Type == param.Int:
		text = integral(text)
	case p.Type == param.String && isBase64Of(text, asked): // bytes are shown so
		return asked, true
	}
	canonical, reason := p.Parse(text)
	if reason != "" || text == "." || text == ".." { // no path leads there
		return nil, false
	}
	return canonical.Arg, true
}

func isBase64Of(text string, asked any) bool {
	a, ok := asked.(string)
	return ok && text != a && text == base64.StdEncoding.EncodeToString([]byte(a))
}

// integral writes a whole number without the zeros behind its point, and what a
// database has in the place of booleans.
func integral(text string) string {
	switch whole, rest, _ := strings.Cut(text, "."); {
	case text == "true":
		return "1"
	case text == "false":
		return "0"
	case strings.Trim(rest, "0") == "" && whole != "":
		return whole
	}
	return text
}

// trimmed returns the name without blanks at the end of its texts, and whether
// it had any.
func trimmed(name Args) (short Args, had bool) {
	short = slices.Clone(name)
	for i, v := range name {
		if text, ok := v.(string); ok {
			if cut := strings.TrimRight(text, " "); cut != text && cut != "" {
				short[i], had = cut, true
			}
		}
	}
	return short, had
}

// writtenOtherwise are ways to write what a record shows in its own way, and the
// database may know by another text alone: bytes, SQLite's booleans and times.
var writtenOtherwise = []func(string) (string, bool){
	func(text string) (string, bool) {
		raw, err := base64.StdEncoding.DecodeString(text)
		return string(raw), err == nil
	},
	func(text string) (string, bool) {
		number := integral(text)
		return number, text == "true" || text == "false"
	},
	timeAs("2006-01-02 15:04:05.999999999"),
	timeAs("2006-01-02T15:04:05.999999999"),
	timeAs("2006-01-02 15:04:05.999999999-07:00"),
}

func timeAs(layout string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		at, err := time.Parse(time.RFC3339Nano, text)
		return at.Format(layout), err == nil
	}
}

// rewritten applies as to the texts of a name, as far as they stay what a path
// can spell.
func rewritten(name Args, as func(string) (string, bool)) (other Args, differs bool) {
	other = slices.Clone(name)
	for i, v := range name {
		text, ok := v.(string)
		if !ok {
			continue
		}
		next, ok := as(text)
		if _, reason := (Param{Type: param.String}).Parse(next); ok && reason == "" {
			other[i], differs = next, true
		}
	}
	return other, differs
}

// finds tells whether name finds the row that goes by own.
func (t *table) finds(name, own Args, find lookup) (bool, error) {
	res, err := find(name)
	if errors.Is(err, ErrNoRecord) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := t.shapeOf(res.names)
	if err != nil || len(res.rows) == 0 {
		return false, err
	}
	again, _, err := t.names(s, res.rows, own)
	return err == nil && slices.Equal(again, own), nil
}

// inLoad looks other names up for a load.
func (t *table) inLoad(ctx context.Context) lookup {
	return func(args Args) (*result, error) {
		q := t.selectQuery(args)
		res, err := t.read(ctx, q)
		if err != nil && t.db.engine.fault(err).kind == faultData && !t.db.engine.fits(ctx, q) {
			return nil, ErrNoRecord
		}
		if err != nil {
			return nil, t.failed("loading", t.blame(ctx, KeySelect, err))
		}
		return res, nil
	}
}

// shows tells whether some key column may be seen.
func (t *table) shows() bool {
	return slices.ContainsFunc(t.keys, func(k keyColumn) bool { return k.named != "" || len(k.outputs) > 0 })
}

// alone refuses several rows where there is to be one: which of them it is
// would be the database's choice.
func (t *table) alone(res *result) error {
	if t.many || len(res.rows) < 2 {
		return nil
	}
	return t.faulty(errors.New(`it finds more than one row for one record; make it find one, or set rows = "many"`))
}

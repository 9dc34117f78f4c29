package database

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/sqltext"
)

// keyColumn tells where a result shows the value of one path parameter. Either
// the configuration names the column, or the text of the select tells it (see
// sqltext.Statement.KeyOutputs), or nothing is known: then the row's own value is
// hidden, and the spelling that was asked for is believed.
type keyColumn struct {
	param   param.Param
	outputs []string // columns that may show it, by the select's text
	named   string   // by the configuration; of a document a member, dots descend
	vouched bool     // the configuration says that nothing has to be shown
}

// hidden tells whether the row's own value cannot be seen. Such a row is served
// under each spelling that finds it; see Doubts.
func (k keyColumn) hidden() bool { return !k.vouched && k.named == "" && len(k.outputs) == 0 }

// keyColumns derives them from the select, where the configuration names none.
// The configuration goes before the text of the select, and an empty name
// vouches. faults name parameters that the path does not have.
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
		if !slices.ContainsFunc(spec.Params, func(p param.Param) bool { return p.Name == name }) {
			faults = append(faults, fmt.Errorf("key_columns: the path has no parameter %q; it has %s", name, sqltext.ParamNames(spec.Params)))
		}
	}
	return keys, faults
}

// Doubts lists what lets one row answer under several names: parameters whose
// value no column of the record shows. They are for the operator.
func Doubts(r source.Records) []string {
	t, ok := r.(interface{ doubts() []string })
	if !ok {
		return nil
	}
	return t.doubts()
}

// doubts is Doubts for a table.
func (t *table) doubts() (all []string) {
	for _, k := range t.keys {
		if k.hidden() {
			all = append(all, fmt.Sprintf("it shows no column that is known to be {%s}, so a row that the database finds by several spellings is kept under each of them: select the column that it is compared with, or name it in key_columns", k.param.Name))
		}
	}
	return all
}

// keyIndices finds the key's columns in a result: an index each, or -1 where
// nothing shows the value. Of an asterisk only the result tells the columns, so a
// column that the text led to expect may be missing; one that the configuration
// names may not. The very name goes before one in other capitals. In a document
// there are no columns to look among: its members are looked up row by row, by
// own.
func (t *table) keyIndices(names []string, document bool) ([]int, error) {
	at := make([]int, len(t.keys))
	for i, k := range t.keys {
		at[i] = -1
		// The outputs may be several, when the select shows the column under more
		// than one name; the first that the result has is as good as any.
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

// own returns the i-th parameter's value as the row shows it, in JSON; shown is
// false where nothing shows it. An error is the operator's: key_columns names a
// member that the document does not have.
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

// memberOf returns the member of a JSON object at path. Of members that occur
// twice, which the database lets pass, the first counts. The result is a copy,
// for the decoder reuses its buffer.
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

// shows tells whether some key column may be seen. If none may, nothing is looked
// up before a write, which saves a query.
func (t *table) shows() bool {
	return slices.ContainsFunc(t.keys, func(k keyColumn) bool { return k.named != "" || len(k.outputs) > 0 })
}

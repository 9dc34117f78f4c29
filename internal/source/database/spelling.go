package database

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// A record has one name. A database may find one row by several: a collation
// that ignores case, accents or trailing blanks, a number that is compared with
// text, a pattern. Copies are kept, invalidated and guarded by name, so a row
// under two names would be written under the one and go on being served, old,
// under the other. So the row itself has to say by which name it goes: its key
// columns are compared with the parameters, and a row that is another's is
// neither served nor changed.

// verify proves that the rows are those of args. It returns a *SpellingError if
// they are another record's.
//
// That the row shows another value than the parameter's does not yet prove it:
// what a read shows may be another way to write the same value, as bytes in
// base64 are. So the name that the row shows is tried. If it finds the very row,
// the record goes by that name, and a copy under the one that was asked for would
// never be invalidated by a write under the right one. If no such name finds it,
// the column is not the key, and only the operator can say which one is. A
// *SpellingError with Args names the right spelling, by which the caller may load
// again; one without says only that the row does not go by the name that was
// asked for.
func (t *table) verify(s *shape, rows [][][]byte, args source.Args, find lookup) error {
	if !s.keyed || len(rows) == 0 || s.document && !t.many && string(rows[0][0]) == "null" {
		return nil
	}
	// fit is false when the row shows something that no path can spell. Then
	// there is no name to try.
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
		return &source.SpellingError{}
	}
	// Where blanks at the end count for nothing, the name is the one without;
	// whether they do, only the database knows.
	candidates := []source.Args{own}
	if shorter {
		candidates = []source.Args{short, own}
	}
	for _, as := range writtenOtherwise {
		if name, differs := rewritten(own, as); differs {
			candidates = append(candidates, name)
		}
	}
	for _, name := range candidates {
		// The row is known by what was asked for, only written in another way.
		if slices.Equal(name, args) {
			return nil
		}
		found, err := t.finds(name, own, find)
		if err != nil {
			return err
		}
		if found {
			return &source.SpellingError{Args: name}
		}
	}
	// No spelling leads back to the row. Serving it would bind the record to a
	// column that is not its key.
	return t.faulty(errors.New("the row that was found shows another key than it was asked for, and is not found by that one: what select compares with the parameter is not what it returns; name the column that tells the key in key_columns"))
}

// names returns the parameters by which the rows go; what they do not show stays
// as it was asked for. fit is false when no parameter can have such a value.
// Several rows of one record (rows = "many") have to agree on it.
func (t *table) names(s *shape, rows [][][]byte, args source.Args) (own source.Args, fit bool, err error) {
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
// asked is what it was asked for. ok is false if no path can spell the value, as
// of an object, of NULL, or of a text where the parameter is an integer. It fails
// rather than guesses: a value that it takes becomes part of a key in the cache.
func valueOf(p param.Param, cell []byte, asked any) (v any, ok bool) {
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

// isBase64Of tells whether text shows the bytes that were asked for.
func isBase64Of(text string, asked any) bool {
	a, ok := asked.(string)
	return ok && text != a && text == base64.StdEncoding.EncodeToString([]byte(a))
}

// integral writes a whole number without the zeros behind its point, and what a
// database has in the place of booleans. numeric columns show 7.00 and SQLite's
// booleans true, where the path says 7 or 1.
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

// trimmed returns the name without blanks at the end of its texts, and whether it
// had any. A text of blanks alone stays as it is: without them it would be empty,
// and no path spells an empty segment.
func trimmed(name source.Args) (short source.Args, had bool) {
	return rewritten(name, func(text string) (string, bool) {
		short := strings.TrimRight(text, " ")
		return short, short != text && short != ""
	})
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

// timeAs writes a time by RFC 3339 in another layout.
func timeAs(layout string) func(string) (string, bool) {
	return func(text string) (string, bool) {
		at, err := time.Parse(time.RFC3339Nano, text)
		return at.Format(layout), err == nil
	}
}

// rewritten applies as to the texts of a name, as far as they stay what a path
// can spell.
func rewritten(name source.Args, as func(string) (string, bool)) (other source.Args, differs bool) {
	other = slices.Clone(name)
	for i, v := range name {
		text, isText := v.(string)
		next, ok := as(text)
		if !isText || !ok {
			continue
		}
		if _, reason := (param.Param{Type: param.String}).Parse(next); reason == "" {
			other[i], differs = next, true
		}
	}
	return other, differs
}

// finds tells whether name finds the row that goes by own, and not another one.
// An error of the look itself is returned; rows that disagree on their name only
// mean no.
func (t *table) finds(name, own source.Args, find lookup) (bool, error) {
	res, err := find(name)
	if errors.Is(err, source.ErrNoRecord) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := t.shapeOf(res.Names)
	if err != nil || len(res.Rows) == 0 {
		return false, err
	}
	again, _, err := t.names(s, res.Rows, own)
	return err == nil && slices.Equal(again, own), nil
}

// alone refuses several rows where there is to be one: which of them it is
// would be the database's choice.
func (t *table) alone(res *engine.Result) error {
	if t.many || len(res.Rows) < 2 {
		return nil
	}
	return t.faulty(errors.New(`it finds more than one row for one record; make it find one, or set rows = "many"`))
}

// faulty marks what an operator has to mend, and remembers it. The next load that
// succeeds clears it again.
func (t *table) faulty(err error) error {
	err = source.Mark(fmt.Errorf("select: %w", err), source.ErrFault)
	t.refusals.Met(source.KeySelect, err)
	return err
}

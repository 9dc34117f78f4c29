package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"hearth/cache/shared"
	"hearth/internal/param"
	"hearth/internal/source/outbox"
)

// template is a meaning ready for use: which keys it makes.
type template struct {
	outbox.Meaning
	params []param.Param
	key    param.Key
	glob   string
}

// newTemplate reads what stands in the database; an error says that this program does
// not understand it.
func newTemplate(m outbox.Meaning) (*template, error) {
	parsed, wrong := param.ParseTemplate(m.Key)
	if wrong != "" {
		return nil, fmt.Errorf("the key %q %s", m.Key, wrong)
	}
	t := &template{Meaning: m}
	for _, p := range m.Params {
		kind := param.Param{Name: p.Name, Type: param.Kind(p.Type)}
		if !kind.Type.Known() {
			return nil, fmt.Errorf("the parameter %q has the type %q", p.Name, p.Type)
		}
		t.params = append(t.params, kind)
	}
	for _, part := range parsed.Parts {
		if part.Param != "" && !t.has(part.Param) {
			return nil, fmt.Errorf("the key %q has {%s}, which is no parameter", m.Key, part.Param)
		}
	}
	t.key, t.glob = param.NewKey(parsed.Parts, t.params), globOf(parsed)
	return t, nil
}

func (t *template) has(name string) bool {
	return slices.ContainsFunc(t.params, func(p param.Param) bool { return p.Name == name })
}

// globOf is a pattern that all keys of a template fit.
func globOf(t param.Template) string {
	literals := []string{""}
	for _, part := range t.Parts {
		if part.Param != "" {
			literals = append(literals, "")
		} else {
			literals[len(literals)-1] += part.Literal
		}
	}
	return shared.Glob(literals...)
}

// errEverything says that a row cannot tell which records are meant.
var errEverything = errors.New("the row does not tell which records are meant")

// Pattern is a glob that all keys of a template fit, and what tells them from others that
// fit it.
func Pattern(t param.Template, params []param.Param) (glob string, matches func(key string) bool) {
	key := param.NewKey(t.Parts, params)
	return globOf(t), key.Matches
}

// keysOf returns the keys that one captured row concerns. A value that no path can name
// concerns none, and so does a null. errEverything says that all are meant: a column is
// gone, or was not captured when the row was written.
func (t *template) keysOf(ctx context.Context, o Outbox, row map[string]json.RawMessage) ([]string, error) {
	if t.All {
		return nil, errEverything
	}
	if t.Keys == "" {
		texts := make([]string, len(t.Params))
		for i, p := range t.Params {
			cell, ok := row[p.Column]
			if !ok || isGone(cell) {
				return nil, errEverything
			}
			texts[i] = outbox.ValueText(cell)
		}
		return t.keysFor(texts), nil
	}
	for _, cell := range row {
		if isGone(cell) {
			return nil, errEverything
		}
	}
	all, err := o.Keys(ctx, t.Meaning, row)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, texts := range all {
		keys = append(keys, t.keysFor(texts)...)
	}
	return keys, nil
}

// keysFor are the keys of a row that shows these texts. Where the database pads a text, as
// in a char(n), or blanks at the end count for nothing, the row goes by the text without
// them; which of the two it is only a look at the row would tell.
func (t *template) keysFor(texts []string) (keys []string) {
	if len(texts) != len(t.params) {
		return nil
	}
	if key, ok := t.keyOf(texts); ok {
		keys = append(keys, key)
	}
	short := slices.Clone(texts)
	for i, text := range texts {
		if bare := strings.TrimRight(text, " "); bare != "" && t.params[i].Type == param.String {
			short[i] = bare
		}
	}
	if slices.Equal(short, texts) {
		return keys
	}
	if key, ok := t.keyOf(short); ok {
		keys = append(keys, key)
	}
	return keys
}

// isGone tells that the table has a captured column no more.
func isGone(cell json.RawMessage) bool {
	if len(cell) == 0 || cell[0] != '{' {
		return false
	}
	var marker struct {
		Gone *bool `json:"gone"`
	}
	return json.Unmarshal(cell, &marker) == nil && marker.Gone != nil && *marker.Gone
}

// keyOf renders a key by the code that renders those of requests.
func (t *template) keyOf(texts []string) (key string, ok bool) {
	values := make([]param.Value, len(texts))
	for i, text := range texts {
		if t.params[i].Type == param.Int {
			text = integerOf(text)
		}
		v, reason := t.params[i].Parse(text)
		if reason != "" {
			return "", false
		}
		values[i] = v
	}
	return t.key.Of(values...), true
}

// integerOf writes a number without its fraction if that is none: a column of 1.00 is
// found by the path of 1.
func integerOf(text string) string {
	if !strings.ContainsAny(text, ".eE") || len(text) > 64 {
		return text
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() || r.Num().BitLen() > 64 {
		return text
	}
	return r.Num().String()
}

// changes gathers what rows of the outbox mean: keys, each with the write that made the
// change, and resources of which everything is to be removed.
type changes struct {
	keys  map[string]string // → writer; "" where several or others have made it
	whole map[string]*template
	order []string // of keys
}

func newChanges() *changes {
	return &changes{keys: map[string]string{}, whole: map[string]*template{}}
}

// add notes a key. Two events of different writers are an event of others: the record of
// neither write is known to be the latest.
func (c *changes) add(key, writer string) {
	was, there := c.keys[key]
	switch {
	case !there:
		c.keys[key] = writer
		c.order = append(c.order, key)
	case was != writer:
		c.keys[key] = ""
	}
}

// all notes that every record of a template is meant.
func (c *changes) all(t *template) { c.whole[t.Key] = t }

// take returns the keys, and forgets them. What is removed wholly is removed later, and
// its keys all the same: that costs little, and comes sooner.
func (c *changes) take() []shared.Outdated {
	out := make([]shared.Outdated, len(c.order))
	for i, key := range c.order {
		out[i] = shared.Outdated{Key: key, Writer: c.keys[key]}
	}
	clear(c.keys)
	c.order = c.order[:0]
	return out
}

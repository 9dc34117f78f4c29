package database

import (
	"slices"

	"hearth/internal/source"
	"hearth/internal/source/engine"
)

// Body is what Put reads of a body, for documentation.
type Body struct {
	Members []Member // that are stored; none for a body that is taken whole
	Ignored []string // that are let through: a read shows them, or the path has them
	Closed  bool     // any other member is refused
}

// Member is a member of a body that Put reads.
type Member struct {
	Name     string // dots descend, as in address.city
	Required bool
}

// BodyOf tells what Put of these records takes, as far as the statements tell:
// members that only a record shows are taken, too.
func BodyOf(r source.Records) Body {
	// Records of an origin have no statements and describe nothing.
	t, ok := r.(interface{ describe() Body })
	if !ok {
		return Body{}
	}
	return t.describe()
}

// describe says that a body is closed only if the text of the select tells all
// columns: what a read shows is let through by a write, and what is unknown here
// may be shown.
func (t *table) describe() (b Body) {
	if t.upsert == nil {
		return b
	}
	for _, f := range t.upsert.Fields {
		if len(f.Path) > 0 {
			b.Members = append(b.Members, Member{Name: f.String(), Required: !f.Optional})
		}
	}
	shown, ok := t.selects.Select().Names()
	// Three things leave a body open: columns that only the database knows, a
	// record that is a document, and an upsert that takes the body whole.
	if b.Closed = ok && engine.DocumentColumn(shown, false) < 0 && !t.body.known.whole; !b.Closed {
		return b
	}
	// A body may repeat the parameters of its path; read lets them through where
	// they agree.
	for _, p := range t.params {
		shown = append(shown, p.Name)
	}
	for _, name := range shown {
		switch part := t.body.known.parts[name]; {
		case part == nil && !slices.Contains(b.Ignored, name):
			b.Ignored = append(b.Ignored, name)
		case part != nil && !part.whole: // what else lies in it only a record tells
			return Body{Members: b.Members}
		}
	}
	return b
}

// DemoSelect is the statement under which the demo's records are published as
// examples: the one in the config.toml that comes with the program.
const DemoSelect = "SELECT id, name, city FROM users WHERE id = {user_id}"

// DemoRecord is the demo's record 1 as DemoSelect finds it.
func DemoRecord() []byte {
	name, city := engine.DemoPerson(1)
	record := engine.AppendText([]byte(`{"id":1,"name":`), name)
	record = engine.AppendText(append(record, `,"city":`...), city)
	return append(record, '}')
}

package database

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// knownMember is a member of bodies that an upsert takes, whole or in parts. All
// together they are a tree, whose root is the body: it is built once, from the
// placeholders of the upsert.
type knownMember struct {
	whole bool
	parts map[string]*knownMember
}

// newKnownMember makes the tree of the members that fields take.
func newKnownMember(fields []sqltext.Field) *knownMember {
	root := &knownMember{parts: map[string]*knownMember{}}
	for _, f := range fields {
		m := root
		for _, name := range f.Path {
			if m.parts[name] == nil {
				m.parts[name] = &knownMember{parts: map[string]*knownMember{}}
			}
			m = m.parts[name]
		}
		m.whole = true
	}
	return root
}

// unknown notes what of the member at path is not taken. It descends only where
// parts of an object are taken: what a whole member has in it is the column's.
// path is the caller's scratch space, so what is noted is a copy.
func (k *knownMember) unknown(m *members, path []string, n jsonvalue.Node) {
	if k.whole {
		return
	}
	part := k.parts[path[len(path)-1]]
	switch {
	case part == nil:
		if len(m.unknown) < maxUnknown {
			m.unknown = append(m.unknown, slices.Clone(path))
		}
	case !part.whole:
		for _, inner := range n.Members {
			part.unknown(m, append(path, inner.Name), inner.Node)
		}
	}
}

// refuseUnknown refuses members that the upsert does not take and that a read
// does not show either: most likely they are mistyped, and an optional member
// that was meant would become null. What a read shows is let through unread, so
// that a client may send back what it got. The error names the first one as its
// member and lists the others; a near name among what the upsert takes is
// offered.
func (r *bodyReader) refuseUnknown(unknown [][]string, shown func(path []string) bool) error {
	unknown = slices.DeleteFunc(slices.Clone(unknown), shown)
	if len(unknown) == 0 {
		return nil
	}
	var others []string
	for _, path := range unknown[1:] {
		others = append(others, fmt.Sprintf("%q", strings.Join(path, ".")))
	}
	reason := "is unknown"
	if len(others) > 0 {
		reason += ", as is " + strings.Join(others, ", ")
	}
	var taken []string
	for _, f := range r.fields {
		taken = append(taken, f.String())
	}
	first := strings.Join(unknown[0], ".")
	if name := nearName(first, taken); name != "" {
		reason += fmt.Sprintf("; did you mean %q?", name)
	} else {
		reason += "; a read shows no such member, and a write takes none"
	}
	return &source.BodyError{Member: first, Reason: reason}
}

// shows tells whether the record, or one of an array of records, has a member at
// path. It is asked only after a body had unknown members. For an array one
// record that has the member is enough: rows of one select have the same columns.
func shows(record jsontext.Value, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if record.Kind() == jsontext.KindBeginArray {
		return engine.Elements(record, func(item jsontext.Value) error {
			if shows(item, path) {
				return errFound
			}
			return nil
		}) == errFound
	}
	value, err := memberOf(record, path[:1])
	return err == nil && shows(value, path[1:])
}

// errFound ends a walk over elements.
var errFound = errors.New("found")

// nearMember returns the unknown member that a missing one was most likely
// mistyped as, or "".
func nearMember(path []string, unknown [][]string) string {
	var names []string
	for _, u := range unknown {
		names = append(names, strings.Join(u, "."))
	}
	return nearName(strings.Join(path, "."), names)
}

// nearName returns the first of the names that differs from name in at most two
// letters and a third of all, or in capitals alone, or "". A worse guess would
// lead a client to store a value in the wrong column. Of names that are equally
// near the first wins.
func nearName(name string, names []string) string {
	best, least := "", max(1, min(2, len(name)/3))+1
	for _, n := range names {
		if d := param.Distance(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

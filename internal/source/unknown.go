package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/sqltext"
)

// knownMember is a member of bodies that an upsert takes, whole or in parts.
type knownMember struct {
	whole bool
	parts map[string]*knownMember
}

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

// unknown notes what of the member at path is not taken.
func (k *knownMember) unknown(m *members, path []string, n node) {
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
		for _, inner := range n.members {
			part.unknown(m, append(path, inner.name), inner.node)
		}
	}
}

// refuseUnknown refuses members that the upsert does not take and that a read
// does not show either: most likely they are mistyped, and an optional member
// that was meant would become null. What a read shows is let through unread, so
// that a client may send back what it got.
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
	return &BodyError{Member: first, Reason: reason}
}

// shows tells whether the record, or one of an array of records, has a member
// at path.
func shows(record jsontext.Value, path []string) bool {
	switch record.Kind() {
	case jsontext.KindBeginArray, jsontext.KindBeginObject:
	default:
		return false
	}
	array := record.Kind() == jsontext.KindBeginArray
	dec := jsontext.NewDecoder(bytes.NewReader(record), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for kind := dec.PeekKind(); kind != jsontext.KindEndObject && kind != jsontext.KindEndArray; kind = dec.PeekKind() {
		if array {
			item, err := dec.ReadValue()
			if err != nil {
				return false
			}
			if shows(item, path) {
				return true
			}
			continue
		}
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		found := name.String() == path[0]
		value, err := dec.ReadValue()
		if err != nil {
			return false
		}
		if found {
			return len(path) == 1 || shows(value, path[1:])
		}
	}
	return false
}

// nearMember returns the unknown member that a missing one was most likely
// mistyped as, or "".
func nearMember(path []string, unknown [][]string) string {
	var names []string
	for _, u := range unknown {
		names = append(names, strings.Join(u, "."))
	}
	return nearName(strings.Join(path, "."), names)
}

// nearName returns the first of the names that differs from name in at most
// two letters and a third of all, or in capitals alone, or "". Names are short; one
// that is not has no near one.
func nearName(name string, names []string) string {
	const longest = 64
	best, least := "", max(1, min(2, len(name)/3))+1
	for _, n := range names {
		if len(name) > longest || len(n) > longest {
			continue
		}
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// edits counts the letters that are to be changed, added, left out or swapped
// with a neighbour to turn a into b.
func edits(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(last[j]+1, next[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = last, next
	}
	return row[len(b)]
}

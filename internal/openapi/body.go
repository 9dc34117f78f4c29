package openapi

import (
	"encoding/json"
	"slices"
	"strings"
)

// bodySchema is the schema of a PUT's body: the members that the statement
// reads, typed as the example has them. PutClosed says what becomes of
// others.
func bodySchema(r *Resource) object {
	if len(r.PutMembers) == 0 && !r.PutClosed {
		return object{{"type", "object"}, {"description", "Any JSON object; it is taken whole."}}
	}
	var root bodyMember
	for _, m := range r.PutMembers {
		root.insert(strings.Split(m.Name, "."), m.Required)
	}
	for _, name := range r.PutIgnored {
		root.members = append(root.members, &bodyMember{name: name, ignored: true})
	}
	return root.schema(r.PutExample, r.PutClosed)
}

// bodyMember is a member of a body and those within it. Statements name members by
// paths ("address.city"), schemas nest them: this tree is the one made of the other.
type bodyMember struct {
	name     string
	required bool
	ignored  bool // let through, not stored
	members  []*bodyMember
}

// insert adds the member at path. What a required member lies in is required.
func (m *bodyMember) insert(path []string, required bool) {
	if len(path) == 0 {
		return
	}
	i := slices.IndexFunc(m.members, func(c *bodyMember) bool { return c.name == path[0] })
	if i < 0 {
		i = len(m.members)
		m.members = append(m.members, &bodyMember{name: path[0]})
	}
	m.members[i].required = m.members[i].required || required
	m.members[i].insert(path[1:], required)
}

// schema describes m and what lies in it, by the sample's value at its place. If
// closed, an object refuses other members than those described.
func (m *bodyMember) schema(sample json.RawMessage, closed bool) object {
	switch {
	case m.ignored:
		return object{{"description", "Let through and not stored; what names a parameter of the path has to agree with it."}}
	case len(m.members) == 0 && m.name != "":
		if s := typeOf(sample); len(s) > 0 {
			return orNull(s)
		}
		return object{}
	}
	var required []string
	var properties object
	values := membersOf(sample)
	for _, c := range m.members {
		if c.required {
			required = append(required, c.name)
		}
		value, _ := values.get(c.name).(json.RawMessage)
		properties = append(properties, member{c.name, c.schema(value, closed)})
	}
	s := object{{"type", "object"}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	if properties != nil {
		s = append(s, member{"properties", properties})
	}
	if closed {
		s = append(s, member{"additionalProperties", false})
	}
	return s
}

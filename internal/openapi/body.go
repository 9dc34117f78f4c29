package openapi

import (
	"encoding/json"
	"slices"
	"strings"
)

// bodySchema is the schema of a PUT's body: the members that the statement
// reads, typed as the example has them. PutClosed says what becomes of
// others.
func bodySchema(r *Resource) (any, error) {
	var sample any
	if r.PutExample != nil {
		if err := decodeExact(r.PutExample, &sample); err != nil {
			return nil, err
		}
	}
	if len(r.PutMembers) == 0 && !r.PutClosed {
		return object{{"type", "object"}, {"description", "Any JSON object; it is taken whole."}}, nil
	}
	var root bodyMember
	for _, m := range r.PutMembers {
		root.insert(strings.Split(m.Name, "."), m.Required)
	}
	for _, name := range r.PutIgnored {
		root.members = append(root.members, &bodyMember{name: name, ignored: true})
	}
	if r.PutClosed {
		root.close()
	}
	return root.schema(sample), nil
}

// bodyMember is a member of a body and those within it.
type bodyMember struct {
	name     string
	required bool
	ignored  bool // let through, not stored
	closed   bool // other members within it are refused
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

// close marks m and what lies in it as refusing other members.
func (m *bodyMember) close() {
	m.closed = true
	for _, c := range m.members {
		c.close()
	}
}

// schema describes m and what lies in it, by the sample's value at its place.
func (m *bodyMember) schema(sample any) object {
	switch {
	case m.ignored:
		return object{{"description", "Let through and not stored; what names a parameter of the path has to agree with it."}}
	case len(m.members) == 0 && m.name != "":
		return leafSchema(sample)
	}
	values, _ := sample.(map[string]any)
	var required []string
	var properties object
	for _, c := range m.members {
		if c.required {
			required = append(required, c.name)
		}
		properties = append(properties, member{c.name, c.schema(values[c.name])})
	}
	s := object{{"type", "object"}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	if properties != nil {
		s = append(s, member{"properties", properties})
	}
	if m.closed {
		s = append(s, member{"additionalProperties", false})
	}
	return s
}

// leafSchema is the type that an example value has, or null, or, where there is
// no example, anything.
func leafSchema(sample any) object {
	switch sample.(type) {
	case string:
		return orNull(object{{"type", "string"}})
	case bool:
		return orNull(object{{"type", "boolean"}})
	case json.Number:
		return orNull(object{{"type", "number"}, {"format", "double"}})
	case []any:
		return orNull(object{{"type", "array"}, {"items", object{}}})
	case map[string]any:
		return orNull(object{{"type", "object"}})
	}
	return object{}
}

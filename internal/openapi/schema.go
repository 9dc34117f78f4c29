package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/param"
)

// paramSchema is the schema of a parameter's value as the server reads it.
func paramSchema(kind param.Kind) (object, error) {
	switch kind {
	case param.Int:
		return object{{"type", "integer"}, {"format", "int64"}}, nil
	case param.UUID:
		return object{{"type", "string"}, {"format", "uuid"}}, nil
	case param.String:
		return object{{"type", "string"}, {"minLength", 1}, {"pattern", `^[^\x00-\x1F\x7F]+$`}}, nil
	}
	return nil, fmt.Errorf("parameter type %q is none of int, string, uuid", kind)
}

// problemSchema is RFC 9457's problem document.
func problemSchema() object {
	return object{
		{"type", "object"},
		{"description", "A problem document (RFC 9457). `detail` says what to change."},
		{"required", []string{"type", "title", "status", "detail"}},
		{"properties", object{
			{"type", object{{"type", "string"}, {"format", "uri-reference"}, {"description", "Names the kind of problem; `about:blank` when the status says it all."}}},
			{"title", object{{"type", "string"}, {"description", "The kind of problem in words; the same for every problem of one kind."}}},
			{"status", object{{"type", "integer"}, {"minimum", 400}, {"maximum", 599}}},
			{"detail", object{{"type", "string"}, {"description", "What is wrong with this request."}}},
		}},
	}
}

// dataSchema is the schema of a resource's data: the given one, or what the
// example shows. Without a source anybody may have stored anything, so there an
// example shows nothing.
func dataSchema(r *Resource) (any, error) {
	switch {
	case r.Schema != nil:
		return r.Schema, nil
	case !r.HasSource:
		return object{{"description", "Any JSON, as it was stored."}}, nil
	case r.Example != nil:
		return inferSchema(r.Example, isIdentity(r))
	case r.Many:
		return object{{"type", "array"}, {"items", object{}}}, nil
	}
	return object{{"description", "Any JSON."}}, nil
}

// isIdentity tells which members of a record are the integers of its path:
// user_id itself, or id where the path says user_id.
func isIdentity(r *Resource) func(name string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(r.Params, func(p Param) bool {
			return p.Type == param.Int && (p.Name == name || strings.HasSuffix(p.Name, "_"+name))
		})
	}
}

// inferSchema describes JSON by one example of it. It claims no more than an
// example can show: any member may be null, none is required, and a number is
// an integer only where isInt says that its name stands for one, since a
// column that holds 3 may hold 3.5 next.
func inferSchema(sample json.RawMessage, isInt func(name string) bool) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(sample))
	dec.UseNumber()
	return inferValue(dec, "", isInt, false)
}

func inferValue(dec *json.Decoder, name string, isInt func(string) bool, nullable bool) (object, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	var s object
	switch tok := tok.(type) {
	case string:
		s = object{{"type", "string"}}
	case bool:
		s = object{{"type", "boolean"}}
	case json.Number:
		if _, err := tok.Int64(); err == nil && isInt(name) {
			s = object{{"type", "integer"}, {"format", "int64"}}
			break
		}
		s = object{{"type", "number"}, {"format", "double"}}
	case json.Delim:
		if tok == '[' {
			s, err = inferArray(dec, isInt)
			break
		}
		s, err = inferObject(dec, isInt)
	default:
		return object{}, nil // null: nothing is known
	}
	if nullable {
		s = orNull(s)
	}
	return s, err
}

// orNull is the schema of null besides what s describes. It is no list of types,
// which generators of clients do not take.
func orNull(s object) object {
	return object{{"oneOf", []object{s, {{"type", "null"}}}}}
}

func inferObject(dec *json.Decoder, isInt func(string) bool) (object, error) {
	var properties object
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string) // the decoder takes nothing else for a key
		s, err := inferValue(dec, name, isInt, true)
		if err != nil {
			return nil, err
		}
		properties = append(properties, member{name, s})
	}
	_, err := dec.Token()
	s := object{{"type", "object"}}
	if properties != nil {
		s = append(s, member{"properties", properties})
	}
	return s, err
}

// inferArray takes the first element for the kind of all of them where that is
// an object, which is what rows are; of anything else it says nothing.
func inferArray(dec *json.Decoder, isInt func(string) bool) (object, error) {
	var first object
	for i := 0; dec.More(); i++ {
		s, err := inferValue(dec, "", isInt, false)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = s
		}
	}
	_, err := dec.Token()
	if first.get("type") != "object" {
		first = object{}
	}
	return object{{"type", "array"}, {"items", first}}, err
}

// answerSchema is the schema of one answer of r: data in its envelope.
func answerSchema(r *Resource, data any) any {
	if r.Envelope == "" {
		return data
	}
	source := object{
		{"type", "string"},
		{"enum", []string{"cache", "db"}},
		{"description", "`cache` for memory and the shared tier, `db` for a load from the source."},
	}
	if !r.HasSource {
		source = object{{"type", "string"}, {"const", "cache"}}
	}
	return object{
		{"type", "object"},
		{"required", []string{r.Envelope, "source"}},
		{"properties", object{{r.Envelope, data}, {"source", source}}},
	}
}

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

// close marks m and what lies in it as refusing other members.
func (m *bodyMember) close() {
	m.closed = true
	for _, c := range m.members {
		c.close()
	}
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

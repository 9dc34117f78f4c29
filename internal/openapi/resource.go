package openapi

import (
	"encoding/json"
	"fmt"
	"slices"
)

// resource is a Resource whose operations are being described. Its schemas are
// listed once, as components, and its operations refer to them.
type resource struct {
	*Resource
	*builder
	name   string // for operation ids and schemas
	tag    string
	params []parameter

	untyped bool // the data is any JSON
	data    any  // the schema of a record, and that of an answer, which are the
	answers any  // same without an envelope; both are references

	nullable any // what answerOrNull has listed
}

// checkJSON names the part of r that should be JSON and is not. Nothing behind it
// has to expect such an error.
func (r *resource) checkJSON() error {
	if r.Example != nil && !json.Valid(r.Example) {
		return fmt.Errorf("its example is not JSON: %q", r.Example)
	}
	if r.PutExample != nil && !json.Valid(r.PutExample) {
		return fmt.Errorf("its example of a PUT is not JSON: %q", r.PutExample)
	}
	return nil
}

// summary says of a resource where its records live, which tells a client how old
// they may be.
func (r *resource) summary() string {
	if r.HasSource {
		return "Records of `" + r.Name + "`, answered from memory, the shared tier or their source, whichever has them first."
	}
	return "Records of `" + r.Name + "`, which live in the shared tier and are answered from memory where it has them."
}

// conditional are the parameters of the path and request headers that make the
// operation conditional, as pairs of name and description. The headers have no
// example: a request without them is the ordinary one.
func (r *resource) conditional(conditions ...[2]string) []parameter {
	return append(slices.Clone(r.params), fields(conditions...)...)
}

// fields are request headers, as pairs of name and description.
func fields(pairs ...[2]string) (params []parameter) {
	for _, c := range pairs {
		params = append(params, parameter{Name: c[0], In: "header", Description: c[1], Schema: json.RawMessage(`{"type":"string"}`)})
	}
	return params
}

// freshFields are the request headers by which a read asks for a fresher answer.
func (b *builder) freshFields() [][2]string {
	all := [][2]string{{"Hearth-Version", "What the answer to a write had in this field: the record is read as that write left it, or newer, on any instance. Several with commas."}}
	if !b.api.Directives {
		return all
	}
	text := "`no-cache`, `max-age`, `min-fresh`, `max-stale` and `only-if-cached` (RFC 9111) say how fresh the answer has to be."
	if b.api.DirectivesNeedToken {
		text += " It counts with a bearer token of scope `fresh`."
	}
	return append(all, [2]string{"Cache-Control", text})
}

// freshRefusals are the statuses of a read's refusals, with what asking for freshness adds.
func (b *builder) freshRefusals(statuses ...string) []string {
	if b.api.Directives {
		statuses = append(statuses, "429")
	}
	return statuses
}

// answerOrNull is the schema of one answer whose data may be null: a record that
// a many-read does not find, or that a PUT has stored where select does not.
func (r *resource) answerOrNull() any {
	switch {
	case r.Many || r.untyped:
		return r.answers
	case r.Envelope == "":
		return orNull(r.data)
	case r.nullable == nil:
		r.nullable = r.addSchema(r.name+"AnswerOrNull", answerSchema(r.Resource, orNull(r.data)))
	}
	return r.nullable
}

package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed skeleton.json
var skeletonJSON []byte

// skeleton is what is the same for every server: a document without operations,
// and parts of it. It is JSON because the constant half of an OpenAPI document
// reads best as OpenAPI; what follows from the configuration is built in Go.
type skeleton struct {
	Document document
	Service  object    // the operations of every server, by path; all are GET
	Refusals []refusal // in the order in which operations list them
	Schemas  map[string]json.RawMessage
}

// builder gathers the parts of a document. Each part is listed when it is first
// needed, and the order in which the description names things is that of the
// document.
type builder struct {
	api      API
	skeleton skeleton

	// Names that are taken: two operations or schemas of one name make an invalid
	// document, and two resources may well be called alike in it.
	operations names
	components names
	tagNames   names

	tags    []tag
	paths   object // template to object, which maps a lower-case method to an operation
	schemas object
}

// add puts op under a method of a path. Templates that differ only in the names
// of their parameters are one path to OpenAPI, so they may not stand side by
// side.
func (b *builder) add(method, template string, op operation) error {
	for i := range b.paths {
		p := &b.paths[i]
		if shape(p.key) != shape(template) {
			continue
		}
		methods := p.value.(object)
		if p.key != template {
			return fmt.Errorf("path %q is the same as %q but for the names of its parameters", template, p.key)
		}
		if methods.get(method) != nil {
			return fmt.Errorf("path %q has more than one %s", template, strings.ToUpper(method))
		}
		p.value = append(methods, member{method, op})
		return nil
	}
	b.paths = append(b.paths, member{template, object{{method, op}}})
	return nil
}

// shape blanks the parameters' names out of a template: two templates of one shape
// match the same requests.
func shape(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// addTag lists a tag and returns the name it got.
func (b *builder) addTag(name, description string) string {
	name = b.tagNames.take(name)
	b.tags = append(b.tags, tag{name, description})
	return name
}

// addSchema lists a schema and returns a reference to it.
func (b *builder) addSchema(name string, schema any) object {
	name = b.components.take(b.schemaName(name))
	b.schemas = append(b.schemas, member{name, schema})
	return ref("schemas", name)
}

// schemaName is name, or another one where a generator of clients makes something
// else of that name than a schema: one of its own types, as ogen's OptString for
// an optional string, or that of an answer which is an error.
func (b *builder) schemaName(name string) string {
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	isRefusal := func(r refusal) bool { return r.Name == name }
	if slices.Contains(taken, name) || slices.ContainsFunc([]string{"New", "Nil", "Opt", "With"}, hasPrefix) ||
		slices.ContainsFunc(b.skeleton.Refusals, isRefusal) {
		return name + "Record"
	}
	return name
}

// refuse returns references to the error answers of the given statuses, of any
// request's, and to the one for everything else.
func (b *builder) refuse(statuses ...string) object {
	return b.refusals(statuses, func(r refusal) any { return ref("responses", r.Name) })
}

// refuseHead gives the same statuses as answers without a body.
func (b *builder) refuseHead(statuses ...string) object {
	return b.refusals(statuses, func(r refusal) any {
		bare := r.response()
		bare.Content = nil
		return bare
	})
}

// refusals describes the error answers of these statuses, and those of any
// request, in the skeleton's order.
func (b *builder) refusals(statuses []string, describe func(refusal) any) object {
	var out object
	for _, r := range b.skeleton.Refusals {
		if r.Anywhere || slices.Contains(statuses, r.Status) {
			out = append(out, member{r.Status, describe(r)})
		}
	}
	return out
}

// writeRefusals are those of a write for who sends it, and more. Without tokens a
// page of another origin is still refused.
func (b *builder) writeRefusals(more ...string) []string {
	if b.api.TokensRequired {
		more = append(more, "401")
	}
	return append(more, "403")
}

// security is what a write needs. Operations say it one by one: reads of the same
// path are open.
func (b *builder) security() []object {
	if !b.api.TokensRequired {
		return nil
	}
	// No scopes: OpenAPI knows them for OAuth only, and tools refuse them here.
	return []object{{{"bearer", []string{}}}}
}

// encode fills the skeleton's document and writes it out. Of the skeleton's
// components it keeps those that something refers to: generators of clients write
// a type for each component, and linters complain of those that nothing uses.
func (b *builder) encode() ([]byte, error) {
	doc := b.skeleton.Document
	doc.Info.Title, doc.Info.Description, doc.Info.Version = b.api.Title, b.api.Description, b.api.Version
	doc.Tags, doc.Paths = b.tags, b.paths
	doc.Components.Schemas = append(b.schemas, doc.Components.Schemas...)
	if !b.api.TokensRequired {
		doc.Components.SecuritySchemes = nil
	}
	// Operations refer to refusals, and both refer to headers: in this order.
	operations, err := encode(doc.Paths)
	if err != nil {
		return nil, err
	}
	for _, r := range b.skeleton.Refusals {
		if refersTo(operations, "responses", r.Name) {
			doc.Components.Responses = append(doc.Components.Responses, member{r.Name, r.response()})
		}
	}
	responses, err := encode(doc.Components.Responses)
	if err != nil {
		return nil, err
	}
	doc.Components.Headers = slices.DeleteFunc(doc.Components.Headers, func(h member) bool {
		return !refersTo(operations, "headers", h.key) && !refersTo(responses, "headers", h.key)
	})
	return encode(doc)
}

// refersTo tells whether text holds the reference that ref makes.
func refersTo(text []byte, kind, name string) bool {
	return bytes.Contains(text, []byte(`"#/components/`+kind+"/"+name+`"`))
}

// size writes a number of bytes as people say it, where that is exact.
func size(bytes int) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return strconv.Itoa(bytes>>20) + " MiB"
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return strconv.Itoa(bytes>>10) + " KiB"
	}
	return strconv.Itoa(bytes) + " bytes"
}

// Package openapi writes the OpenAPI 3.1 document of a server and the page that
// shows it and tries it out.
//
// The document is generated from a plain description of what is configured, not
// from annotations on handlers: resources exist only in the configuration, so
// that is the only place a true document can come from. The package imports
// nothing else of this project, and serves nothing; it returns bytes.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	specVersion = "3.1.0"
	dialect     = "https://spec.openapis.org/oas/3.1/dialect/base"

	typeJSON    = "application/json"
	typeNDJSON  = "application/x-ndjson"
	typeProblem = "application/problem+json"
	typeHTML    = "text/html"
)

// Document returns the OpenAPI document of api as compact JSON. The same
// description gives the same bytes. An error names the part of the description
// that contradicts itself: two operations for one method and path, a parameter
// that the path lacks, an example that is not JSON.
func Document(api API) ([]byte, error) {
	b := newBuilder(api)
	for i := range api.Resources {
		if err := b.addResource(&api.Resources[i]); err != nil {
			return nil, fmt.Errorf("describing resource %q: %w", api.Resources[i].Name, err)
		}
	}
	for _, batch := range api.Batches {
		if err := b.addBatch(batch); err != nil {
			return nil, fmt.Errorf("describing batch %q: %w", batch.Path, err)
		}
	}
	for _, counter := range api.Counters {
		if err := b.addCounter(counter); err != nil {
			return nil, fmt.Errorf("describing counter %q: %w", counter.Path, err)
		}
	}
	if err := b.addService(); err != nil {
		return nil, fmt.Errorf("describing the server's own paths: %w", err)
	}

	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b.document()); err != nil {
		return nil, fmt.Errorf("encoding the document: %w", err)
	}
	return out.Bytes(), nil
}

// builder gathers the parts of a document. Components are listed as they are
// first used, so the document holds none that nothing refers to.
type builder struct {
	api        API
	operations names
	components names
	tagNames   names

	tags    []tag
	paths   []path
	schemas object
	refused map[string]bool // names of shared error responses in use
	headers map[string]bool // names of shared headers in use
}

// path is a path item under construction.
type path struct {
	template string
	methods  object // lower-case method to operation
}

func newBuilder(api API) *builder {
	return &builder{
		api:        api,
		operations: names{},
		components: names{},
		tagNames:   names{},
		refused:    map[string]bool{},
		headers:    map[string]bool{},
	}
}

func (b *builder) document() document {
	doc := document{
		OpenAPI: specVersion,
		Info: info{
			Title: b.api.Title, Description: b.api.Description, Version: b.api.Version,
			Contact: object{{"name", "Whoever operates this server"}},
			License: object{{"name", "MIT"}, {"identifier", "MIT"}},
		},
		Dialect:  dialect,
		Servers:  []object{{{"url", "/"}, {"description", "The server this document came from"}}},
		Security: []object{}, // operations are open unless they say otherwise
		Tags:     b.tags,
	}
	for _, p := range b.paths {
		doc.Paths = append(doc.Paths, member{p.template, p.methods})
	}
	// Refusals first: writing them out marks the headers that they use.
	doc.Components.Responses = b.refusals()
	doc.Components.Headers = b.sharedHeaders()
	doc.Components.Schemas = append(b.schemas, member{"Problem", problemSchema()})
	if b.api.TokensRequired {
		doc.Components.SecuritySchemes = object{{"bearer", object{
			{"type", "http"},
			{"scheme", "bearer"},
			{"description", "A token with scope `write`, as configured in `[[auth.token]]`."},
		}}}
	}
	return doc
}

// add puts op under a method of a path. Templates that differ only in the names
// of their parameters are one path to OpenAPI, so they may not stand side by
// side.
func (b *builder) add(method, template string, op operation) error {
	for i := range b.paths {
		p := &b.paths[i]
		if shape(p.template) != shape(template) {
			continue
		}
		if p.template != template {
			return fmt.Errorf("path %q is the same as %q but for the names of its parameters", template, p.template)
		}
		if p.methods.get(method) != nil {
			return fmt.Errorf("path %q has more than one %s", template, strings.ToUpper(method))
		}
		p.methods = append(p.methods, member{method, op})
		return nil
	}
	b.paths = append(b.paths, path{template, object{{method, op}}})
	return nil
}

// shape blanks the parameters' names out of a template.
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
	if reserved(name) {
		name += "Record"
	}
	name = b.components.take(name)
	b.schemas = append(b.schemas, member{name, schema})
	return ref("schemas", name)
}

// taken are names that oapi-codegen and ogen give to types of their own.
var taken = []string{
	"Bearer", "Client", "ClientInterface", "ClientOption", "ClientWithResponses", "ClientWithResponsesInterface", "ErrorHandler", "Handler",
	"HttpRequestDoer", "Invoker", "Labeler", "LabelerFromContext", "Middleware", "OperationName", "Option", "Problem", "RequestEditorFn", "Route",
	"SecurityHandler", "SecuritySource", "Server", "ServerOption", "UnimplementedHandler",
}

// reserved tells whether a generator of clients makes something else of that name
// than a schema of ours: one of its own types, as ogen's OptString for an optional
// string, or that of an answer which is an error.
func reserved(name string) bool {
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return slices.Contains(taken, name) || slices.ContainsFunc([]string{"New", "Nil", "Opt", "With"}, hasPrefix) ||
		slices.ContainsFunc(refusalTable(), func(r refusal) bool { return r.component == name })
}

// names hands out each name once.
type names map[string]bool

// take returns name, or name with the first free number behind it.
func (n names) take(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s%d", name, i)
	}
	n[free] = true
	return free
}

// pascal turns any text into a name that OpenAPI and code generators accept:
// "order_line" and "/order/line" become OrderLine.
func pascal(text string) string {
	var b strings.Builder
	upper := true
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z':
			if upper {
				r -= 'a' - 'A'
			}
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		default:
			upper = true
			continue
		}
		upper = false
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "Unnamed"
	}
	return b.String()
}

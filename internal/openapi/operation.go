package openapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// addResource adds every operation that a resource has.
func (b *builder) addResource(r *Resource) error {
	if err := checkJSON(r); err != nil {
		return err
	}
	data, err := dataSchema(r)
	if err != nil {
		return err
	}
	params, err := pathParameters(r)
	if err != nil {
		return err
	}
	ops := resource{
		Resource: r,
		builder:  b,
		name:     pascal(r.Name),
		tag:      b.addTag(r.Name, resourceSummary(r)),
		params:   params,
	}
	schema, ours := data.(object)
	ops.untyped = !ours || schema.get("type") == nil
	ops.data = b.addSchema(ops.name, data)
	ops.answer = ops.data
	if r.Envelope != "" {
		ops.answer = b.addSchema(ops.name+"Answer", answerSchema(r, ops.data))
	}
	steps := []struct {
		want bool
		add  func() error
	}{
		{r.Readable, ops.addRead},
		{r.ManyRead, ops.addManyRead},
		{r.CanPut, ops.addPut},
		{r.CanDelete, ops.addDelete},
	}
	for _, s := range steps {
		if s.want {
			if err := s.add(); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkJSON names the part of r that should be JSON and is not.
func checkJSON(r *Resource) error {
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"schema", r.Schema}, {"example", r.Example}, {"example of a PUT", r.PutExample}} {
		if part.text != nil && !json.Valid(part.text) {
			return fmt.Errorf("its %s is not JSON: %q", part.name, part.text)
		}
	}
	return nil
}

// resource is a Resource whose operations are being described.
type resource struct {
	*Resource
	*builder
	name   string // for operation ids and schemas
	tag    string
	params []parameter

	untyped bool   // the data is any JSON, or has a schema that was given
	data    object // references
	answer  object

	nullable object // what answerOrNull has listed
}

func resourceSummary(r *Resource) string {
	if r.HasSource {
		return "Records of `" + r.Name + "`, answered from memory, the shared tier or their source, whichever has them first."
	}
	return "Records of `" + r.Name + "`, which live in the shared tier and are answered from memory where it has them."
}

// pathParameters describes the parameters of the path, with the example's
// values or, without an example, with one that at least has the right type.
func pathParameters(r *Resource) ([]parameter, error) {
	if n := strings.Count(r.Path, "{"); n != len(r.Params) {
		return nil, fmt.Errorf("its path %q has %d parameters, described are %d", r.Path, n, len(r.Params))
	}
	var out []parameter
	for i, p := range r.Params {
		if !strings.Contains(r.Path, "{"+p.Name+"}") {
			return nil, fmt.Errorf("its path %q has no parameter %q", r.Path, p.Name)
		}
		schema, err := paramSchema(p.Type)
		if err != nil {
			return nil, err
		}
		text := placeholder(p.Type)
		if i < len(r.ExampleArgs) {
			text = r.ExampleArgs[i]
		}
		value, err := argument(p, text)
		if err != nil {
			return nil, err
		}
		out = append(out, parameter{Name: p.Name, In: "path", Required: true, Schema: schema, Example: value})
	}
	return out, nil
}

// condition is a request header that makes an operation conditional. It has no
// example: a request without it is the ordinary one.
func condition(name, description string) parameter {
	return parameter{Name: name, In: "header", Description: description, Schema: object{{"type", "string"}}}
}

func (r *resource) addRead() error {
	statuses := []string{"412", "422", "502", "503", "504"}
	if !r.Many {
		statuses = append(statuses, "404")
	}
	if r.Renames {
		statuses = append(statuses, "308")
	}
	headers := []string{headerETag, headerCacheStatus, headerCache, headerVary}
	statuses, headers, text := r.limited(r.Path, statuses, headers, "Answers from the first tier that has it: memory, the shared tier, the source.")
	params := append(slices.Clone(r.params), condition("If-None-Match", "An `ETag` seen before: answers 304 while it still stands."),
		condition("If-Match", "Refused with 412 unless it is `*`, or lists the answer's strong `ETag`."))
	unchanged := response{Description: "The record is still the one named by `If-None-Match`.", Headers: r.use(headers...)}
	get := operation{
		Tags:        []string{r.tag},
		Summary:     "Read " + r.Name,
		Description: text,
		OperationID: r.operations.take("get" + r.name),
		Parameters:  params,
		Responses: append(object{
			{"200", response{
				Description: "The record.",
				Headers:     r.use(headers...),
				Content:     object{{typeJSON, mediaType{r.answer, r.readExamples()}}},
			}},
			{"304", unchanged},
		}, r.refuse(statuses...)...),
	}
	if err := r.add("get", r.Path, get); err != nil {
		return err
	}
	head := get
	head.Summary = "Read headers of " + r.Name
	head.Description = strings.TrimSpace("As GET, without the body. " + text)
	head.OperationID = r.operations.take("head" + r.name)
	head.Responses = append(object{
		{"200", response{Description: "The record's headers.", Headers: r.use(headers...)}},
		{"304", unchanged},
	}, r.bare(statuses...)...)
	return r.add("head", r.Path, head)
}

func (r *resource) addManyRead() error {
	if len(r.Params) != 1 {
		return fmt.Errorf("reading many takes one parameter, its path %q has %d", r.Path, len(r.Params))
	}
	i := strings.LastIndexByte(r.Path, '/')
	if !strings.HasPrefix(r.Path[i+1:], "{") || i == 0 {
		return fmt.Errorf("reading many drops the last segment of its path %q, which must be the parameter and not the only segment", r.Path)
	}
	path := r.Path[:i]
	statuses, headers, text := r.limited(path, []string{"422", "502", "503", "504"},
		[]string{headerCacheStatus, headerCache, headerVary},
		"An array of single answers in the order asked, duplicates repeated; the data of a missing record is `null`. "+
			"What memory lacks is read from the shared tier in one round trip.")
	args, err := r.manyArguments()
	if err != nil {
		return err
	}
	query := parameter{
		Name: r.Params[0].Name, In: "query", Required: true, Style: "form", Explode: true,
		Description: fmt.Sprintf("Repeated for each record, at most %d times.", r.api.MaxMany),
		Schema:      object{{"type", "array"}, {"minItems", 1}, {"maxItems", r.api.MaxMany}, {"items", r.params[0].Schema}},
		Example:     args,
	}
	return r.add("get", path, operation{
		Tags:        []string{r.tag},
		Summary:     "Read many of " + r.Name,
		Description: text,
		OperationID: r.operations.take("getMany" + r.name),
		Parameters:  []parameter{query},
		Responses: append(object{{"200", response{
			Description: "The answers, in the order asked.",
			Headers:     r.use(headers...),
			Content:     object{{typeJSON, mediaType{object{{"type", "array"}, {"items", r.answerOrNull()}}, r.manyExamples()}}},
		}}}, r.refuse(statuses...)...),
	})
}

// answerOrNull is the schema of one answer whose data may be null: a record that
// a many-read does not find, or that a PUT has stored where select does not.
func (r *resource) answerOrNull() any {
	switch {
	case r.Many || r.untyped:
		return r.answer
	case r.Envelope == "":
		return orNull(r.data)
	case r.nullable == nil:
		r.nullable = r.addSchema(r.name+"AnswerOrNull", answerSchema(r.Resource, orNull(r.data)))
	}
	return r.nullable
}

func (r *resource) addPut() error {
	schema, err := bodySchema(r.Resource)
	if err != nil {
		return err
	}
	statuses, headers, text := r.limited(r.Path,
		append(r.writeStatuses(), "415"), []string{headerETag, headerNoStore},
		"Answers with the record that then stands, as a read shows it; its data is `null` where a read finds none. Members that name a parameter of the path must agree with it. "+
			"A member that neither the statement takes nor a read shows is refused.")
	body := &requestBody{
		Description: "At most " + size(r.api.MaxBody) + ".",
		Required:    true,
		Content:     object{{typeJSON, mediaType{r.addSchema(r.name+"Body", schema), r.putRequests()}}},
	}
	return r.add("put", r.Path, operation{
		Tags:        []string{r.tag},
		Summary:     "Store " + r.Name,
		Description: text,
		OperationID: r.operations.take("put" + r.name),
		Parameters:  append(slices.Clone(r.params), ifMatch(), ifRecordMatch()),
		RequestBody: body,
		Responses: append(object{{"200", response{
			Description: "The stored record.",
			Headers:     r.use(headers...),
			Content:     object{{typeJSON, mediaType{r.answerOrNull(), r.putExamples()}}},
		}}}, r.refuse(statuses...)...),
		Security: r.security(),
	})
}

func (r *resource) addDelete() error {
	statuses, headers, text := r.limited(r.Path, append(r.writeStatuses(), "404"), []string{headerNoStore}, "Answers once no older copy can be read here any more.")
	return r.add("delete", r.Path, operation{
		Tags:        []string{r.tag},
		Summary:     "Delete " + r.Name,
		Description: text,
		OperationID: r.operations.take("delete" + r.name),
		Parameters:  append(slices.Clone(r.params), ifMatch(), ifRecordMatch()),
		Responses: append(object{{"204", response{
			Description: "It is gone.",
			Headers:     r.use(headers...),
		}}}, r.refuse(statuses...)...),
		Security: r.security(),
	})
}

func ifMatch() parameter {
	return condition("If-Match", "Refused with 412 unless `*` finds a record, or a strong `ETag` of the record as it is now is listed. Weak ones go into `If-Record-Match`.")
}

func ifRecordMatch() parameter {
	return condition("If-Record-Match", "Refused with 412 unless an `ETag` is listed, weak or not, with which a read of the record as it is now would be answered.")
}

// writeStatuses are the refusals of every write to a single record.
func (r *resource) writeStatuses() []string {
	return append(r.accessStatuses(), "409", "412", "422", "502", "503", "504")
}

// accessStatuses are the refusals of a write for who sends it. Without tokens a
// page of another origin is still refused.
func (b *builder) accessStatuses() []string {
	if b.api.TokensRequired {
		return []string{"401", "403"}
	}
	return []string{"403"}
}

// security is what a write needs.
func (b *builder) security() []object {
	if !b.api.TokensRequired {
		return nil
	}
	// No scopes: OpenAPI knows them for OAuth only, and tools refuse them here.
	return []object{{{"bearer", []string{}}}}
}

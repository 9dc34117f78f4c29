package openapi

import (
	"fmt"
)

// addResource adds every operation that a resource has. The order of its steps is
// that of tags, schemas and paths in the document.
func (b *builder) addResource(given *Resource) error {
	r := &resource{Resource: given, builder: b, name: pascal(given.Name)}
	if err := r.checkJSON(); err != nil {
		return err
	}
	var err error
	if r.params, err = pathParameters(given); err != nil {
		return err
	}
	data := dataSchema(given)
	r.tag = b.addTag(r.Name, r.summary())
	r.untyped = data.get("type") == nil
	r.data = b.addSchema(r.name, data)
	r.answers = r.data
	if r.Envelope != "" {
		r.answers = b.addSchema(r.name+"Answer", answerSchema(given, r.data))
	}
	if err := r.addRead(); err != nil {
		return err
	}
	for _, more := range []struct {
		want bool
		add  func() error
	}{{r.ManyRead, r.addManyRead}, {r.CanPut, r.addPut}, {r.CanDelete, r.addDelete}} {
		if more.want {
			if err := more.add(); err != nil {
				return err
			}
		}
	}
	return nil
}

// addRead adds GET and HEAD of one record. HEAD lists the answers of GET without
// their bodies, since a reference to a shared answer would promise one.
func (r *resource) addRead() error {
	refused := r.freshRefusals("412", "422", "502", "503", "504")
	if !r.Many {
		refused = append(refused, "404")
	}
	if r.Renames {
		refused = append(refused, "308")
	}
	sent := headers("ETag", "Age", "Cache-Status", "Cache-Control", "Vary")
	unchanged := member{"304", response{Description: "The record is still the one named by `If-None-Match`.", Headers: sent}}
	const text = "Answers from the first tier that has it: memory, the shared tier, the source."
	get := operation{
		Tags:        []string{r.tag},
		Summary:     "Read " + r.Name,
		Description: text,
		OperationID: r.operations.take("get" + r.name),
		Parameters: r.conditional(append([][2]string{
			{"If-None-Match", "An `ETag` seen before: answers 304 while it still stands."},
			{"If-Match", "Refused with 412 unless it is `*`, or lists the answer's strong `ETag`."}}, r.freshFields()...)...),
		Responses: append(object{{"200", answer("The record.", sent, r.answers, r.readExamples())}, unchanged}, r.refuse(refused...)...),
	}
	if err := r.add("get", r.Path.Plain(), get); err != nil {
		return err
	}
	head := get
	head.Summary = "Read headers of " + r.Name
	head.Description = "As GET, without the body. " + text
	head.OperationID = r.operations.take("head" + r.name)
	head.Responses = append(object{{"200", response{Description: "The record's headers.", Headers: sent}}, unchanged}, r.refuseHead(refused...)...)
	return r.add("head", r.Path.Plain(), head)
}

// addManyRead adds GET of the path without its last segment, whose parameter is
// then given in the query, once for each record.
func (r *resource) addManyRead() error {
	collection := r.Path.Collection()
	if collection == "" {
		return fmt.Errorf("reading many drops the last segment of its path %q, which must be its only parameter and not its only segment", r.Path.Plain())
	}
	args, err := r.manyArguments()
	if err != nil {
		return err
	}
	query := parameter{
		Name: r.Path.Params()[0].Name, In: "query", Required: true, Style: "form", Explode: true,
		Description: fmt.Sprintf("Repeated for each record, at most %d times.", r.api.MaxMany),
		Schema:      object{{"type", "array"}, {"minItems", 1}, {"maxItems", r.api.MaxMany}, {"items", r.params[0].Schema}},
		Example:     args,
	}
	found := answer("The answers, in the order asked.", headers("Age", "Cache-Status", "Cache-Control", "Vary"),
		object{{"type", "array"}, {"items", r.answerOrNull()}}, r.manyExamples())
	return r.add("get", collection, operation{
		Tags:    []string{r.tag},
		Summary: "Read many of " + r.Name,
		Description: "An array of single answers in the order asked, duplicates repeated; the data of a missing record is `null`. " +
			"What memory lacks is read from the shared tier in one round trip.",
		OperationID: r.operations.take("getMany" + r.name),
		Parameters:  append([]parameter{query}, fields(r.freshFields()...)...),
		Responses:   append(object{{"200", found}}, r.refuse(r.freshRefusals("422", "502", "503", "504")...)...),
	})
}

// addPut adds PUT, whose body has a schema of its own: it may lack what the path
// gives, and hold what no read shows.
func (r *resource) addPut() error {
	body := mediaType{Schema: r.addSchema(r.name+"Body", bodySchema(r.Resource))}
	if r.PutExample != nil {
		body.Examples = object{{"record", example{Summary: "A record", Value: r.PutExample}}}
	}
	stored := answer("The stored record.", headers("ETag", "Hearth-Version", noStore), r.answerOrNull(), r.putExamples())
	if r.Forwarded {
		return r.addWrite("put", operation{
			Summary: "Store " + r.Name,
			Description: "The body goes on to the source of the record. Answers with the record that then stands, as a read shows it; its data is `null` where a read finds none. " +
				"If the source has stored it and cannot be read after that, the answer has no body.",
			RequestBody: &requestBody{Description: "At most " + size(r.api.MaxBody) + ".", Required: true, Content: object{{typeJSON, body}}},
			Responses:   object{{"200", stored}, {"204", response{Description: "It is stored; what it is now is not known.", Headers: headers("Hearth-Version", noStore)}}},
		}, "404", "415")
	}
	return r.addWrite("put", operation{
		Summary: "Store " + r.Name,
		Description: "Answers with the record that then stands, as a read shows it; its data is `null` where a read finds none. Members that name a parameter of the path must agree with it. " +
			"A member that neither the statement takes nor a read shows is refused.",
		RequestBody: &requestBody{Description: "At most " + size(r.api.MaxBody) + ".", Required: true, Content: object{{typeJSON, body}}},
		Responses:   object{{"200", stored}},
	}, "415")
}

// addDelete adds DELETE, which answers without a body.
func (r *resource) addDelete() error {
	return r.addWrite("delete", operation{
		Summary:     "Delete " + r.Name,
		Description: "Answers once no older copy can be read here any more.",
		Responses:   object{{"204", response{Description: "It is gone.", Headers: headers("Hearth-Version", noStore)}}},
	}, "404")
}

// addWrite adds op, and to it what all writes of a single record have: conditions,
// what they need of a token, and their refusals beside those given.
func (r *resource) addWrite(method string, op operation, refused ...string) error {
	op.Tags, op.Security = []string{r.tag}, r.security()
	op.OperationID = r.operations.take(method + r.name)
	op.Parameters = r.conditional(
		[2]string{"If-Match", "Refused with 412 unless `*` finds a record, or a strong `ETag` of the record as it is now is listed. Weak ones go into `If-Record-Match`."},
		[2]string{"If-Record-Match", "Refused with 412 unless an `ETag` is listed, weak or not, with which a read of the record as it is now would be answered."})
	refused = append(refused, "409", "412", "422", "502", "503", "504")
	op.Responses = append(op.Responses, r.refuse(r.writeRefusals(refused...)...)...)
	return r.add(method, r.Path.Plain(), op)
}

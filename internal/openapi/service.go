package openapi

import "encoding/json"

// addCounter adds the operation of a counter. HEAD is not offered: it would
// count.
func (b *builder) addCounter(c Counter) error {
	name := pascal(c.Path)
	if !b.tagNames["counters"] {
		b.addTag("counters", "Counts that the whole fleet shares.")
	}
	first := example{Summary: "The first request ever", Value: object{{"current_requests", 1}}}
	schema := b.addSchema(name+"Count", b.skeleton.Schemas["count"])
	return b.add("get", c.Path, operation{
		Tags:        []string{"counters"},
		Summary:     "Count a request",
		Description: "Counts this request, does its simulated work, and answers with the count that then stands.",
		OperationID: b.operations.take("get" + name),
		Responses: append(object{{"200", answer("The count.", headers(noStore), schema, object{{"first", first}})}},
			b.refuse("503", "504")...),
	})
}

// addService adds the paths that every server has. They come last in the document,
// since its readers look for records.
func (b *builder) addService() error {
	tag := b.addTag("service", "The server itself.")
	for _, path := range b.skeleton.Service {
		var op operation
		decode(path.value.(json.RawMessage), &op)
		refused := []string{"503"}
		if op.Responses.get("503") != nil {
			refused = nil
		}
		op.Tags, op.OperationID = []string{tag}, b.operations.take(op.OperationID)
		op.Responses = append(op.Responses, b.refuse(refused...)...)
		if err := b.add("get", path.key, op); err != nil {
			return err
		}
	}
	return nil
}

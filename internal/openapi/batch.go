package openapi

import (
	"encoding/json"
	"fmt"
	"slices"
)

// addBatch adds the operation of a batch path.
func (b *builder) addBatch(batch Batch) error {
	items, err := b.batchItems(batch)
	if err != nil {
		return err
	}
	name := pascal(batch.Path)
	content, err := b.batchContent(name, items)
	if err != nil {
		return err
	}
	statuses, headers, text := b.limited(batch.Path,
		append(b.accessStatuses(), "415", "422", "503", "504"), []string{headerNoStore},
		fmt.Sprintf("Stores many records of `%s`. Each item is an object with an `id`; `1` and `\"1\"` are the same one, "+
			"and of two items with one id the last wins. Bad input stores nothing.", batch.Resource))
	responses := object{
		{"200", response{
			Description: "Every item is stored.",
			Headers:     b.use(headers...),
			Content:     object{{typeJSON, mediaType{b.addSchema(name+"Stored", storedSchema()), storedExamples(len(items))}}},
		}},
		{"502", response{
			Description: "Some items are stored and some are not; `failed` names the latter.",
			Headers:     b.use(headers...),
			Content:     object{{typeJSON, mediaType{Schema: b.addSchema(name+"Partial", partialSchema())}}},
		}},
	}
	return b.add("post", batch.Path, operation{
		Tags:        []string{b.batchTag(batch)},
		Summary:     "Store many of " + batch.Resource,
		Description: text,
		OperationID: b.operations.take("post" + name),
		RequestBody: &requestBody{
			Description: fmt.Sprintf("At most %d items and %s.", b.api.MaxItems, size(b.api.MaxBody)),
			Required:    true,
			Content:     content,
		},
		Responses: append(responses, b.refuse(statuses...)...),
		Security:  b.security(),
	})
}

// batchTag is the tag of the resource that the batch stores, so that both stand
// together, or the batch's own.
func (b *builder) batchTag(batch Batch) string {
	if b.tagNames[batch.Resource] {
		return batch.Resource
	}
	return b.addTag(batch.Resource, "Records of `"+batch.Resource+"`, stored many at once.")
}

// batchItems are the items of a batch's example.
func (b *builder) batchItems(batch Batch) ([]json.RawMessage, error) {
	if batch.Example != nil {
		var items []json.RawMessage
		if err := json.Unmarshal(batch.Example, &items); err != nil {
			return nil, fmt.Errorf("its example is no JSON array: %w", err)
		}
		return items, nil
	}
	i := slices.IndexFunc(b.api.Resources, func(r Resource) bool { return r.Name == batch.Resource })
	if i >= 0 && b.api.Resources[i].Example != nil {
		return []json.RawMessage{b.api.Resources[i].Example}, nil
	}
	return []json.RawMessage{json.RawMessage(`{"id":1}`)}, nil
}

// batchContent describes both ways of sending a batch.
func (b *builder) batchContent(name string, items []json.RawMessage) (object, error) {
	text, err := lines(items)
	if err != nil {
		return nil, fmt.Errorf("its example is not JSON: %w", err)
	}
	item := b.addSchema(name+"Item", object{
		{"type", "object"},
		{"required", []string{"id"}},
		{"properties", object{{"id", identifier("Becomes part of the key.")}}},
		{"additionalProperties", true},
	})
	array := object{{"type", "array"}, {"maxItems", b.api.MaxItems}, {"items", item}}
	return object{
		{typeJSON, mediaType{array, object{{"items", example{Summary: "A JSON array", Value: items}}}}},
		{typeNDJSON, mediaType{
			object{{"type", "string"}, {"contentMediaType", typeNDJSON}, {"description", "One item a line."}},
			object{{"items", example{Summary: "One item a line", Value: text}}},
		}},
	}, nil
}

func storedSchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"status", "count"}},
		{"properties", object{
			{"status", object{{"type", "string"}, {"const", "success"}}},
			{"count", object{{"type", "integer"}, {"format", "int64"}, {"minimum", 0}, {"description", "Items stored."}}},
		}},
	}
}

func storedExamples(n int) object {
	return object{{"stored", example{"All stored", object{{"status", "success"}, {"count", n}}, true}}}
}

func partialSchema() object {
	return object{
		{"type", "object"},
		{"required", []string{"status", "count", "failed"}},
		{"properties", object{
			{"status", object{{"type", "string"}, {"const", "partial"}}},
			{"count", object{{"type", "integer"}, {"format", "int64"}, {"minimum", 0}, {"description", "Items stored."}}},
			{"failed", object{
				{"type", "array"},
				{"items", identifier("As it was sent.")},
				{"description", "The ids of the items to send again."},
			}},
		}},
	}
}

// identifier is the schema of an item's id. A list of types would say the same,
// but generators of clients do not take one.
func identifier(description string) object {
	return object{
		{"description", description},
		{"oneOf", []object{{{"type", "string"}}, {{"type", "integer"}, {"format", "int64"}}}},
	}
}

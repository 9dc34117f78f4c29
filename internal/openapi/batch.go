package openapi

import (
	"fmt"
)

// addBatch adds the operation of a batch path. Its body may be an array or lines
// of JSON; both have the example's items.
func (b *builder) addBatch(batch Batch) error {
	items, err := b.batchItems(batch)
	if err != nil {
		return err
	}
	name, schemas := pascal(batch.Path), b.skeleton.Schemas
	array := object{{"type", "array"}, {"maxItems", b.api.MaxItems}, {"items", b.addSchema(name+"Item", schemas["item"])}}
	stored := example{"All stored", object{{"status", "success"}, {"count", len(items)}}, true}
	responses := object{
		{"200", answer("Every item is stored.", headers("Hearth-Version", noStore), b.addSchema(name+"Stored", schemas["stored"]), object{{"stored", stored}})},
		{"502", answer("Some items are stored and some are not; `failed` names the latter.", headers(noStore), b.addSchema(name+"Partial", schemas["partial"]), nil)},
	}
	life := ""
	if batch.TTL > 0 {
		life = " An item lives for " + batch.TTL.String() + " from when it is stored, or stored again."
	}
	return b.add("post", batch.Path, operation{
		Tags:    []string{b.batchTag(batch)},
		Summary: "Store many of " + batch.Resource,
		Description: fmt.Sprintf("Stores many records of `%s`. Each item is an object with an `id`; `1` and `\"1\"` are the same one, "+
			"and of two items with one id the last wins. Bad input stores nothing.%s", batch.Resource, life),
		OperationID: b.operations.take("post" + name),
		RequestBody: &requestBody{
			Description: fmt.Sprintf("At most %d items and %s.", b.api.MaxItems, size(b.api.MaxBody)),
			Required:    true,
			Content: object{
				{typeJSON, mediaType{array, object{{"items", example{Summary: "A JSON array", Value: items}}}}},
				{typeNDJSON, mediaType{schemas["lines"], object{{"items", example{Summary: "One item a line", Value: lines(items)}}}}},
			},
		},
		Responses: append(responses, b.refuse(b.writeRefusals("415", "422", "503", "504")...)...),
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

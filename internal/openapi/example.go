package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// exemplified tells whether there is a record to show and a way to ask for it.
func (r *resource) exemplified() bool {
	return r.Example != nil && len(r.ExampleArgs) == len(r.Path.Params())
}

// reproducible tells whether a read of the example surely finds it: a source
// has it, or one of the batches' own examples stores it.
func (r *resource) reproducible() bool {
	isExample := func(item json.RawMessage) bool { return equalJSON(item, r.Example) }
	return r.HasSource || slices.ContainsFunc(r.api.Batches, func(batch Batch) bool {
		items, _ := r.builder.batchItems(batch) // addBatch reports the error
		return batch.Resource == r.Name && slices.ContainsFunc(items, isExample)
	})
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

// single is one answer as the server writes it. The data is not looked at: it is
// the record's own text, in its own order.
func (r *resource) single(data json.RawMessage, source string) any {
	if r.Envelope == "" {
		return data
	}
	return object{{r.Envelope, data}, {"source", source}}
}

// bySource gives an answer as it looks from the cache and, where the source
// shows, after a load.
func (r *resource) bySource(exact bool, answer func(source string) any) object {
	out := object{{"cache", example{"From memory or the shared tier", answer("cache"), exact}}}
	if r.HasSource && r.Envelope != "" {
		out = append(out, member{"db", example{"Loaded from the source", answer("db"), exact}})
	}
	return out
}

// readExamples are the answers to a read of the example.
func (r *resource) readExamples() object {
	if !r.exemplified() {
		return nil
	}
	return r.bySource(r.reproducible(), func(source string) any { return r.single(r.Example, source) })
}

// manyArguments are the values that the example of the many-read asks for.
func (r *resource) manyArguments() ([]any, error) {
	out := []any{r.params[0].Example}
	for _, text := range r.MissingArgs {
		v, err := argument(r.Path.Params()[0], text)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// manyExamples are the answers to a many-read of manyArguments: the example record,
// and a gap for each that is missing.
func (r *resource) manyExamples() object {
	if !r.exemplified() {
		return nil
	}
	return r.bySource(r.reproducible(), func(source string) any {
		answers := []any{r.single(r.Example, source)}
		for range r.MissingArgs {
			gap := json.RawMessage("null")
			if r.Many {
				gap = json.RawMessage("[]")
			}
			answers = append(answers, r.single(gap, source))
		}
		return answers
	})
}

// putExamples shows the answer to a PUT where it is known: when the body says
// only what the example record says already, storing it changes nothing.
func (r *resource) putExamples() object {
	if !r.exemplified() || r.PutExample == nil || !agrees(r.PutExample, r.Example) {
		return nil
	}
	return object{{"stored", example{"The record that stands", r.single(r.Example, "db"), true}}}
}

// agrees tells whether every member of body is one of record's, with its value.
func agrees(body, record json.RawMessage) bool {
	if kindOf(body) != '{' {
		return false
	}
	found := membersOf(record)
	return !slices.ContainsFunc(membersOf(body), func(m member) bool {
		have, ok := found.get(m.key).(json.RawMessage)
		return !ok || !equalJSON(m.value.(json.RawMessage), have)
	})
}

// equalJSON tells whether both say the same, numbers as they are written: 1 and
// 1.0 are two records to a client that compares bytes.
func equalJSON(a, b json.RawMessage) bool {
	exact := func(text json.RawMessage) (value any) {
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			panic(fmt.Sprintf("BUG: reading %q: %v", text, err))
		}
		return value
	}
	return reflect.DeepEqual(exact(a), exact(b))
}

// lines writes items as NDJSON: one a line, without blanks that could hold a line
// break.
func lines(items []json.RawMessage) string {
	var out bytes.Buffer
	for _, item := range items {
		if err := json.Compact(&out, item); err != nil {
			panic(fmt.Sprintf("BUG: compacting %q: %v", item, err))
		}
		out.WriteByte('\n')
	}
	return out.String()
}

package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// exemplified tells whether there is a record to show and a way to ask for it.
func (r *resource) exemplified() bool {
	return r.Example != nil && len(r.ExampleArgs) == len(r.Params)
}

// reproducible tells whether a read of the example surely finds it: a source
// has it, or one of the batches' own examples stores it.
func (r *resource) reproducible() bool {
	if r.HasSource {
		return true
	}
	for _, batch := range r.api.Batches {
		if batch.Resource != r.Name {
			continue
		}
		items, err := r.builder.batchItems(batch)
		if err != nil {
			return false // addBatch reports it
		}
		for _, item := range items {
			if equalJSON(item, r.Example) {
				return true
			}
		}
	}
	return false
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

// single is one answer as the server writes it.
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

// manyTexts are the values that the example of the many-read asks for.
func (r *resource) manyTexts() []string {
	texts := []string{placeholders[r.Params[0].Type]}
	if len(r.ExampleArgs) > 0 {
		texts = r.ExampleArgs[:1:1]
	}
	return append(texts, r.MissingArgs...)
}

// manyArguments are the same as JSON values.
func (r *resource) manyArguments() ([]any, error) {
	var out []any
	for _, text := range r.manyTexts() {
		v, err := argument(r.Params[0], text)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// manyExamples are the answers to a many-read of manyTexts: the example record,
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
	var b, r map[string]any
	if decodeExact(body, &b) != nil || decodeExact(record, &r) != nil || b == nil {
		return false
	}
	for name, value := range b {
		if have, ok := r[name]; !ok || !reflect.DeepEqual(value, have) {
			return false
		}
	}
	return true
}

// equalJSON tells whether both say the same, numbers as they are written: 1 and
// 1.0 are two records to a client that compares bytes.
func equalJSON(a, b json.RawMessage) bool {
	var x, y any
	return decodeExact(a, &x) == nil && decodeExact(b, &y) == nil && reflect.DeepEqual(x, y)
}

// lines writes items as NDJSON.
func lines(items []json.RawMessage) (string, error) {
	var b strings.Builder
	for _, item := range items {
		var line bytes.Buffer
		if err := json.Compact(&line, item); err != nil {
			return "", err
		}
		b.Write(line.Bytes())
		b.WriteByte('\n')
	}
	return b.String(), nil
}

package openapi

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"hearth/internal/param"
)

// dataSchema is the schema of a resource's data, as the example shows it. Without
// a source anybody may have stored anything, so there an example shows nothing.
func dataSchema(r *Resource) (object, error) {
	switch {
	case !r.HasSource:
		return object{{"description", "Any JSON, as it was stored."}}, nil
	case r.Example != nil:
		return inferSchema(r.Example, isIdentity(r))
	case r.Many:
		return object{{"type", "array"}, {"items", object{}}}, nil
	}
	return object{{"description", "Any JSON."}}, nil
}

// isIdentity tells which members of a record are the integers of its path:
// user_id itself, or id where the path says user_id.
func isIdentity(r *Resource) func(name string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(r.Params, func(p Param) bool {
			return p.Type == param.Int && (p.Name == name || strings.HasSuffix(p.Name, "_"+name))
		})
	}
}

// inferSchema describes JSON by one example of it. It claims no more than an
// example can show: any member may be null, none is required, and a number is
// an integer only where isInt says that its name stands for one, since a
// column that holds 3 may hold 3.5 next.
func inferSchema(sample json.RawMessage, isInt func(name string) bool) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(sample))
	dec.UseNumber()
	return inferValue(dec, "", isInt, false)
}

// inferValue reads one value, and describes it. The name is that of the member
// that holds it, "" for none; nullable adds null to what the value shows.
func inferValue(dec *json.Decoder, name string, isInt func(string) bool, nullable bool) (object, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	var s object
	switch tok := tok.(type) {
	case string:
		s = object{{"type", "string"}}
	case bool:
		s = object{{"type", "boolean"}}
	case json.Number:
		if _, err := tok.Int64(); err == nil && isInt(name) {
			s = object{{"type", "integer"}, {"format", "int64"}}
			break
		}
		s = object{{"type", "number"}, {"format", "double"}}
	case json.Delim:
		if tok == '[' {
			s, err = inferArray(dec, isInt)
			break
		}
		s, err = inferObject(dec, isInt)
	default:
		return object{}, nil // null: nothing is known
	}
	if nullable {
		s = orNull(s)
	}
	return s, err
}

// inferObject describes the members of an object whose brace is read already.
func inferObject(dec *json.Decoder, isInt func(string) bool) (object, error) {
	var properties object
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string) // the decoder takes nothing else for a key
		s, err := inferValue(dec, name, isInt, true)
		if err != nil {
			return nil, err
		}
		properties = append(properties, member{name, s})
	}
	_, err := dec.Token()
	s := object{{"type", "object"}}
	if properties != nil {
		s = append(s, member{"properties", properties})
	}
	return s, err
}

// inferArray takes the first element for the kind of all of them where that is
// an object, which is what rows are; of anything else it says nothing.
func inferArray(dec *json.Decoder, isInt func(string) bool) (object, error) {
	var first object
	for i := 0; dec.More(); i++ {
		s, err := inferValue(dec, "", isInt, false)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = s
		}
	}
	_, err := dec.Token()
	if len(first) == 0 || first[0] != (member{"type", "object"}) {
		first = object{}
	}
	return object{{"type", "array"}, {"items", first}}, err
}

// orNull is the schema of null besides what s describes. It is no list of types,
// which generators of clients do not take.
func orNull(s any) object {
	return object{{"oneOf", []any{s, object{{"type", "null"}}}}}
}

// answerSchema is the schema of one answer of r: data in its envelope.
func answerSchema(r *Resource, data any) any {
	if r.Envelope == "" {
		return data
	}
	source := object{
		{"type", "string"},
		{"enum", []string{"cache", "db"}},
		{"description", "`cache` for memory and the shared tier, `db` for a load from the source."},
	}
	if !r.HasSource {
		source = object{{"type", "string"}, {"const", "cache"}}
	}
	return object{
		{"type", "object"},
		{"required", []string{r.Envelope, "source"}},
		{"properties", object{{r.Envelope, data}, {"source", source}}},
	}
}

// decodeExact decodes JSON and keeps its numbers as written.
func decodeExact(text json.RawMessage, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(into)
}

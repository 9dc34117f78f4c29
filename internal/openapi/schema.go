package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/param"
)

// dataSchema is the schema of a resource's data, as the example shows it. Without
// a source anybody may have stored anything, so there an example shows nothing.
func dataSchema(r *Resource) object {
	switch {
	case !r.HasSource:
		return object{{"description", "Any JSON, as it was stored."}}
	case r.Example != nil:
		return inferSchema(r.Example, "", isIdentity(r))
	case r.Many:
		return object{{"type", "array"}, {"items", object{}}}
	}
	return object{{"description", "Any JSON."}}
}

// isIdentity tells which members of a record are the integers of its path:
// user_id itself, or id where the path says user_id.
func isIdentity(r *Resource) func(name string) bool {
	return func(name string) bool {
		return slices.ContainsFunc(r.Path.Params(), func(p param.Param) bool {
			return p.Type == param.Int && (p.Name == name || strings.HasSuffix(p.Name, "_"+name))
		})
	}
}

// inferSchema describes JSON by one example of it, the member of that name. It
// claims no more than an example can show: any member may be null, none is
// required, and a number is an integer only where isInt says that its name stands
// for one, since a column that holds 3 may hold 3.5 next. Of an array whose first
// element is an object all are taken for such objects, which is what rows are;
// of any other array it says nothing.
func inferSchema(sample json.RawMessage, name string, isInt func(name string) bool) object {
	s := typeOf(sample)
	switch kindOf(sample) {
	case '{':
		var properties object
		for _, m := range membersOf(sample) {
			property := inferSchema(m.value.(json.RawMessage), m.key, isInt)
			if len(property) > 0 {
				property = orNull(property)
			}
			properties = append(properties, member{m.key, property})
		}
		if properties != nil {
			s = append(s, member{"properties", properties})
		}
	case '[':
		var items []json.RawMessage
		decode(sample, &items)
		if len(items) > 0 && kindOf(items[0]) == '{' {
			s = object{{"type", "array"}, {"items", inferSchema(items[0], "", isInt)}}
		}
	case '0':
		if _, err := strconv.ParseInt(string(sample), 10, 64); err == nil && isInt(name) {
			s = object{{"type", "integer"}, {"format", "int64"}}
		}
	}
	return s
}

// typeOf is the schema of all values of the sample's kind. Where the sample is null
// or missing nothing is known, and the schema is that of any value.
func typeOf(sample json.RawMessage) object {
	switch kindOf(sample) {
	case '{':
		return object{{"type", "object"}}
	case '[':
		return object{{"type", "array"}, {"items", object{}}}
	case '"':
		return object{{"type", "string"}}
	case 't':
		return object{{"type", "boolean"}}
	case '0':
		return object{{"type", "number"}, {"format", "double"}}
	}
	return object{}
}

// kindOf is the first byte of the sample, which tells its kind, with t for both
// booleans, 0 for all numbers, and n for null and for no sample.
func kindOf(sample json.RawMessage) byte {
	sample = bytes.TrimSpace(sample)
	switch {
	case len(sample) == 0:
		return 'n'
	case sample[0] == 'f':
		return 't'
	case sample[0] == '-' || sample[0] >= '0' && sample[0] <= '9':
		return '0'
	}
	return sample[0]
}

// membersOf are the members of an object in their order; none of anything else.
func membersOf(sample json.RawMessage) (members object) {
	if kindOf(sample) == '{' {
		decode(sample, &members)
	}
	return members
}

// decode reads JSON that is known to be valid.
func decode(text json.RawMessage, into any) {
	if err := json.Unmarshal(text, into); err != nil {
		panic(fmt.Sprintf("BUG: reading %q: %v", text, err))
	}
}

// orNull is the schema of null besides what s describes. It is no list of types,
// which generators of clients do not take.
func orNull(s any) object {
	return object{{"oneOf", []any{s, object{{"type", "null"}}}}}
}

// answerSchema is the schema of one answer of r: data in its envelope, beside the
// tier that it is from. Without an envelope an answer is the data alone.
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

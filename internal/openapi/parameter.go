package openapi

import (
	"encoding/json"
	"fmt"
	"strconv"

	"hearth/internal/param"
)

// paramSchemas describe a parameter's value as the server reads it.
var paramSchemas = map[param.Kind]json.RawMessage{
	param.Int:    json.RawMessage(`{"type":"integer","format":"int64"}`),
	param.UUID:   json.RawMessage(`{"type":"string","format":"uuid"}`),
	param.String: json.RawMessage(`{"type":"string","minLength":1,"pattern":"^[^\\x00-\\x1F\\x7F]+$"}`),
}

// placeholders are values of each type of parameter, for lack of a real one.
var placeholders = map[param.Kind]string{param.Int: "1", param.UUID: "00000000-0000-4000-8000-000000000001", param.String: "a"}

// argument is a parameter's text as a JSON value of the parameter's type: what a
// client puts into the field of its own struct, and the page into its form.
func argument(p param.Param, text string) (any, error) {
	if p.Type != param.Int {
		return text, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("its example %q of parameter %q is no int64", text, p.Name)
	}
	return n, nil
}

// pathParameters describes the parameters of the path, with the example's
// values or, without an example, with one that at least has the right type.
func pathParameters(r *Resource) ([]parameter, error) {
	var out []parameter
	for i, p := range r.Path.Params() {
		schema, ok := paramSchemas[p.Type]
		if !ok {
			return nil, fmt.Errorf("parameter type %q is none of int, string, uuid", p.Type)
		}
		text := placeholders[p.Type]
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

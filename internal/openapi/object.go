package openapi

import (
	"bytes"
	"encoding/json"
)

// object is a JSON object that keeps the order of its members. The document
// is read by people as well, and the order in which things were described is
// the order in which they make sense; a Go map would sort them by name.
type object []member

// member is one name and value of an object. The value is whatever encoding/json
// writes: an object, text of JSON, or one of the types below.
type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		key, err := encode(m.key)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads the members in order, and leaves their values as they are
// written.
func (o *object) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		*o = append(*o, member{key.(string), value}) // the decoder takes nothing else for a key
	}
	return nil
}

// get returns the value of a member, nil where there is none.
func (o object) get(key string) any {
	for _, m := range o {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// encode writes JSON without the escapes that encoding/json adds for HTML.
func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(value)
	return out.Bytes(), err
}

// ref is a reference to a component.
func ref(kind, name string) object { return object{{"$ref", "#/components/" + kind + "/" + name}} }

// The types below are OpenAPI's own objects, with the fields that Hearth uses
// in the order in which the specification lists them.

// document is the OpenAPI Object, the whole.
type document struct {
	OpenAPI    string          `json:"openapi"`
	Info       info            `json:"info"`
	Dialect    string          `json:"jsonSchemaDialect"`
	Servers    json.RawMessage `json:"servers"`
	Security   json.RawMessage `json:"security"` // none: operations are open unless they say otherwise
	Paths      object          `json:"paths"`
	Components components      `json:"components"`
	Tags       []tag           `json:"tags"`
}

// info is the Info Object.
type info struct {
	Title       string          `json:"title"`
	Description string          `json:"description,omitempty"`
	Contact     json.RawMessage `json:"contact"`
	License     json.RawMessage `json:"license"`
	Version     string          `json:"version"`
}

// tag groups operations on the page. Each has exactly one.
type tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// components are what operations refer to by ref.
type components struct {
	Schemas         object `json:"schemas"`
	Responses       object `json:"responses"`
	Headers         object `json:"headers"`
	SecuritySchemes object `json:"securitySchemes,omitempty"`
}

// operation is the Operation Object: one method of one path.
type operation struct {
	Tags        []string     `json:"tags"`
	Summary     string       `json:"summary"`
	Description string       `json:"description,omitempty"`
	OperationID string       `json:"operationId"`
	Parameters  []parameter  `json:"parameters,omitempty"`
	RequestBody *requestBody `json:"requestBody,omitempty"`
	Responses   object       `json:"responses"`
	Security    []object     `json:"security,omitempty"`
}

// parameter is part of a path, of a query, or a header of a request.
type parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Style       string `json:"style,omitempty"`
	Explode     bool   `json:"explode,omitempty"`
	Schema      any    `json:"schema"`
	Example     any    `json:"example,omitempty"`
}

// requestBody has one mediaType for each way to send it.
type requestBody struct {
	Description string `json:"description,omitempty"`
	Content     object `json:"content"`
	Required    bool   `json:"required"`
}

// response is one answer, by its status. Headers and Content keep their order.
type response struct {
	Description string `json:"description"`
	Headers     object `json:"headers,omitempty"`
	Content     object `json:"content,omitempty"`
}

// mediaType is how a body of one type looks.
type mediaType struct {
	Schema   any    `json:"schema"`
	Examples object `json:"examples,omitempty"`
}

// example is an Example Object. Exact promises that the operation's example
// request, played twice, gets on the second time a body that is one of the
// examples so marked for that status. (Twice, because the first answer may be
// a load and say "db".) A test of the whole server plays them all.
type example struct {
	Summary string `json:"summary,omitempty"`
	Value   any    `json:"value"`
	Exact   bool   `json:"x-hearth-exact,omitempty"`
}

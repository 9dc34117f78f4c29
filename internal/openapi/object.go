package openapi

import (
	"bytes"
	"encoding/json"
)

// object is a JSON object that keeps the order of its members. The document
// is read by people as well, and the order in which things were described is
// the order in which they make sense; a Go map would sort them by name.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON writes the members in order. Text stays as it is: the document
// is never put into HTML, so nothing needs the escapes that encoding/json adds
// for that case.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(m.key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
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

// The types below are OpenAPI's own objects, with the fields that Hearth uses
// in the order in which the specification lists them.

type document struct {
	OpenAPI    string     `json:"openapi"`
	Info       info       `json:"info"`
	Dialect    string     `json:"jsonSchemaDialect"`
	Servers    []object   `json:"servers"`
	Security   []object   `json:"security"`
	Paths      object     `json:"paths"`
	Components components `json:"components"`
	Tags       []tag      `json:"tags"`
}

type info struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	Contact     object `json:"contact"`
	License     object `json:"license"`
	Version     string `json:"version"`
}

type tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

type components struct {
	Schemas         object `json:"schemas"`
	Responses       object `json:"responses"`
	Headers         object `json:"headers"`
	SecuritySchemes object `json:"securitySchemes,omitempty"`
}

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

type requestBody struct {
	Description string `json:"description,omitempty"`
	Content     object `json:"content"`
	Required    bool   `json:"required"`
}

type response struct {
	Description string `json:"description"`
	Headers     object `json:"headers,omitempty"`
	Content     object `json:"content,omitempty"`
}

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

func ref(kind, name string) object {
	return object{{"$ref", "#/components/" + kind + "/" + name}}
}

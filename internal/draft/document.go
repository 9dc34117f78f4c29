package draft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"hearth/internal/param"
)

// document is what a draft reads of an OpenAPI document (3.x, and 2.0).
type document struct {
	OpenAPI  string                     `json:"openapi"`
	Swagger  string                     `json:"swagger"`
	Servers  []openServer               `json:"servers"`
	Host     string                     `json:"host"` // 2.0, as the two below
	BasePath string                     `json:"basePath"`
	Schemes  []string                   `json:"schemes"`
	Paths    map[string]json.RawMessage `json:"paths"`
	Security []json.RawMessage          `json:"security"`
	Produces []string                   `json:"produces"` // 2.0

	base     *url.URL // where it is from; nil: a file
	noServer error    // the first path whose server cannot be told
	levels   map[string]map[string]json.RawMessage
}

type openServer struct {
	URL       string `json:"url"`
	Variables map[string]struct {
		Default string `json:"default"`
	} `json:"variables"`
}

// text is the URL with the defaults of its variables.
func (s openServer) text() string {
	text := s.URL
	for name, v := range s.Variables {
		text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
	}
	return text
}

// pathItem is one of the paths.
type pathItem struct {
	Parameters []json.RawMessage `json:"parameters"`
	Get        *openOperation    `json:"get"`
	Put        *openOperation    `json:"put"`
	Delete     *openOperation    `json:"delete"`
	Servers    []openServer      `json:"servers"`
}

type openOperation struct {
	Summary    string                     `json:"summary"`
	Deprecated bool                       `json:"deprecated"`
	Security   *[]json.RawMessage         `json:"security"`
	Parameters []json.RawMessage          `json:"parameters"`
	Produces   []string                   `json:"produces"`
	Responses  map[string]json.RawMessage `json:"responses"`
	Servers    []openServer               `json:"servers"`
}

type openParameter struct {
	Name     string          `json:"name"`
	In       string          `json:"in"`
	Required bool            `json:"required"`
	Style    string          `json:"style"`
	Schema   json.RawMessage `json:"schema"`
	Content  map[string]struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"content"`
	openSchema // 2.0
}

type openSchema struct {
	Type   json.RawMessage   `json:"type"` // a name, or a list of them
	Format string            `json:"format"`
	AllOf  []json.RawMessage `json:"allOf"`
}

// readDocument reads the text of a document.
func readDocument(text []byte) (*document, error) {
	doc := &document{levels: map[string]map[string]json.RawMessage{}}
	text = bytes.TrimSpace(text)
	if !json.Valid(text) {
		if len(text) > 0 && text[0] != '{' {
			return nil, errors.New("it is no JSON; a YAML document has to be converted first")
		}
		return nil, fmt.Errorf("it is broken JSON (%w)", json.Unmarshal(text, new(any)))
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return nil, errors.New("it is no JSON object; is it an OpenAPI document?")
	}
	if all["openapi"] == nil && all["swagger"] == nil {
		return nil, errors.New(`it has no member "openapi"; is it one?`)
	}
	doc.levels[""] = all
	if wrong, is := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(text, doc)); is && wrong.Field != "openapi" && wrong.Field != "swagger" {
		return nil, fmt.Errorf("its member %q is of another type (%s) than OpenAPI has", wrong.Field, wrong.Value)
	}
	return doc, nil
}

// maxReferences bounds how many references lead to what is meant, as one may lead to itself.
const maxReferences = 8

// read reads a part of the document, through its references. It is false if that cannot be done.
func (doc *document) read(raw json.RawMessage, to any) bool {
	for range maxReferences {
		var r struct {
			Ref string `json:"$ref"`
		}
		if raw == nil || json.Unmarshal(raw, &r) != nil {
			return false
		}
		if r.Ref == "" {
			return json.Unmarshal(raw, to) == nil
		}
		pointer, isLocal := strings.CutPrefix(r.Ref, "#/")
		if !isLocal {
			return false
		}
		raw = doc.at(pointer)
	}
	return false
}

// at is what a JSON pointer without its first slash leads to, nil if nothing.
func (doc *document) at(pointer string) json.RawMessage {
	before, last := "", pointer
	if i := strings.LastIndexByte(pointer, '/'); i >= 0 {
		before, last = pointer[:i], pointer[i+1:]
	}
	level, known := doc.levels[before]
	if !known {
		_ = json.Unmarshal(doc.at(before), &level) // what is no object has no members
		doc.levels[before] = level
	}
	if decoded, err := url.PathUnescape(last); err == nil {
		last = decoded
	}
	return level[strings.NewReplacer("~1", "/", "~0", "~").Replace(last)]
}

// pathItem is what the document has at a path; why says that it cannot be read.
func (doc *document) pathItem(path string) (item pathItem, why string) {
	if !doc.read(doc.Paths[path], &item) {
		return pathItem{}, "cannot be read here: it is another document's, or not as OpenAPI has it"
	}
	return item, ""
}

// kind is the kind of a parameter; what is not an integer or a UUID is text.
func (doc *document) kind(p openParameter) param.Kind {
	s := p.openSchema
	raw := p.Schema
	for _, c := range p.Content {
		raw = c.Schema
	}
	if raw != nil && !doc.read(raw, &s) {
		return param.String
	}
	for range maxReferences {
		if s.Type != nil || len(s.AllOf) == 0 {
			break
		}
		all := s.AllOf[0]
		if s = (openSchema{}); !doc.read(all, &s) {
			return param.String
		}
	}
	var types []string
	if json.Unmarshal(s.Type, &types) != nil {
		types = []string{strings.Trim(string(s.Type), `"`)}
	}
	types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	switch {
	case len(types) == 1 && types[0] == "integer":
		return param.Int
	case s.Format == "uuid":
		return param.UUID
	}
	return param.String
}

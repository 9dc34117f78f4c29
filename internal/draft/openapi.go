package draft

import (
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
	OpenAPI string `json:"openapi"`
	Swagger string `json:"swagger"`
	Servers []struct {
		URL       string `json:"url"`
		Variables map[string]struct {
			Default string `json:"default"`
		} `json:"variables"`
	} `json:"servers"`
	Host       string                     `json:"host"` // 2.0, as the two below
	BasePath   string                     `json:"basePath"`
	Schemes    []string                   `json:"schemes"`
	Paths      map[string]json.RawMessage `json:"paths"`
	Security   []json.RawMessage          `json:"security"`
	Components struct {
		Parameters map[string]json.RawMessage `json:"parameters"`
		Schemas    map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
	Parameters map[string]json.RawMessage `json:"parameters"` // 2.0
}

// pathItem is one of the paths.
type pathItem struct {
	Parameters []json.RawMessage `json:"parameters"`
	Get        *openOperation    `json:"get"`
	Put        *openOperation    `json:"put"`
	Delete     *openOperation    `json:"delete"`
}

type openOperation struct {
	Summary    string             `json:"summary"`
	Deprecated bool               `json:"deprecated"`
	Security   *[]json.RawMessage `json:"security"`
	Parameters []json.RawMessage  `json:"parameters"`
	Produces   []string           `json:"produces"`
	Responses  map[string]struct {
		Content map[string]json.RawMessage `json:"content"`
	} `json:"responses"`
}

type openParameter struct {
	Ref      string     `json:"$ref"`
	Name     string     `json:"name"`
	In       string     `json:"in"`
	Required bool       `json:"required"`
	Schema   openSchema `json:"schema"`
	openSchema
}

type openSchema struct {
	Ref    string          `json:"$ref"`
	Type   json.RawMessage `json:"type"` // a name, or a list of them
	Format string          `json:"format"`
}

// OpenAPI drafts a configuration for the paths of a service that an OpenAPI document describes:
// each GET with a parameter in its path that answers with JSON. base is where the document is
// from, which its server may be relative to; nil if it is a file.
func OpenAPI(text []byte, base *url.URL, o Options) (*Draft, error) {
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document of -from: it is no JSON (%w); a YAML document has to be converted first", err)
	}
	if doc.OpenAPI == "" && doc.Swagger == "" {
		return nil, errors.New(`reading the OpenAPI document of -from: it has no member "openapi"; is it one?`)
	}
	server, err := doc.server(base)
	if err != nil {
		return nil, err
	}
	d := &Draft{}
	var b strings.Builder
	head(&b, o, "")
	w := originWriter{draft: d, out: &b, given: names{}}
	paths := make([]string, 0, len(doc.Paths))
	for p := range doc.Paths {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		doc.write(&w, server, p, o.Names)
	}
	if len(d.Resources) == 0 {
		text := "the OpenAPI document of -from has no GET of a path with a parameter that could be served"
		if len(d.Left) > 0 {
			text += ": " + strings.Join(d.Left[:min(len(d.Left), 5)], "; ")
		}
		return nil, errors.New(text)
	}
	left(&b, d.Left)
	d.Text = []byte(b.String())
	return d, nil
}

// write writes the resource of one path, or why there is none.
func (doc *document) write(w *originWriter, server, path string, wanted []string) {
	d := w.draft
	var item pathItem
	if json.Unmarshal(doc.Paths[path], &item) != nil || item.Get == nil || !strings.Contains(path, "{") {
		return
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if len(wanted) > 0 && !slices.Contains(wanted, first) {
		return
	}
	if len(d.Resources) == MaxResources {
		d.Left = append(d.Left, fmt.Sprintf("%s is one more than %d resources; name the first segments to serve with -tables", line(path), MaxResources))
		return
	}
	template, params, why := doc.template(path, &item)
	switch {
	case why != "":
	case doc.secured(item.Get):
		why = "needs credentials: what it answers may be for one client alone, and Hearth serves the same to all; write its resource by hand if it is not"
	case !item.Get.answersJSON():
		why = "does not answer with JSON"
	}
	if why == "" {
		why = w.write(originOf{path: template, params: params, url: server + path, title: item.Get.Summary, puts: item.Put != nil, deletes: item.Delete != nil})
	}
	if why != "" {
		d.Left = append(d.Left, line(path)+" "+why)
	}
}

// template is the path as resource.path has it; why says what keeps it from being served.
func (doc *document) template(path string, item *pathItem) (template string, params []string, why string) {
	known := map[string]openParameter{}
	for _, raw := range slices.Concat(item.Parameters, item.Get.Parameters) {
		p, ok := doc.parameter(raw)
		if !ok {
			continue
		}
		if p.In == "query" && p.Required {
			return "", nil, fmt.Sprintf("needs the parameter %q in its query, and a record is named by its path alone", line(p.Name))
		}
		if p.In == "path" {
			known[p.Name] = p
		}
	}
	for _, segment := range strings.Split(strings.Trim(path, "/"), "/") {
		name, isParam := strings.CutPrefix(segment, "{")
		if !isParam {
			if !param.IsLiteral(segment) {
				return "", nil, "has a segment that mixes text and parameters, or has characters that would need encoding"
			}
			template += "/" + segment
			continue
		}
		if name, isParam = strings.CutSuffix(name, "}"); !isParam || !param.IsName(name) {
			return "", nil, fmt.Sprintf("has a parameter %s, whose name has more than letters, digits and _", line(segment))
		}
		if slices.Contains(params, name) {
			return "", nil, fmt.Sprintf("has the parameter {%s} twice", name)
		}
		params = append(params, name)
		template += "/{" + name + ":" + string(known[name].kind(doc)) + "}"
	}
	if strings.HasSuffix(path, "/") {
		return "", nil, "ends in a slash, and no path of a record does"
	}
	return template, params, ""
}

// parameter reads a parameter, through its reference if it is one.
func (doc *document) parameter(raw json.RawMessage) (p openParameter, ok bool) {
	for range 2 {
		p = openParameter{}
		if json.Unmarshal(raw, &p) != nil {
			return p, false
		}
		if p.Ref == "" {
			return p, true
		}
		name := p.Ref[strings.LastIndexByte(p.Ref, '/')+1:]
		if raw = doc.Components.Parameters[name]; raw == nil {
			if raw = doc.Parameters[name]; raw == nil {
				return p, false
			}
		}
	}
	return p, false
}

// kind is the kind of a parameter; what is not an integer or a UUID is text.
func (p openParameter) kind(doc *document) param.Kind {
	s := p.Schema
	if s.Ref != "" {
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		_ = json.Unmarshal(doc.Components.Schemas[name], &s) // what is none stays text
	}
	if s.Type == nil {
		s.Type, s.Format = p.Type, p.Format
	}
	switch {
	case string(s.Type) == `"integer"`:
		return param.Int
	case s.Format == "uuid":
		return param.UUID
	}
	return param.String
}

// secured tells whether an operation wants credentials. One that takes none as well does not.
func (doc *document) secured(o *openOperation) bool {
	all := doc.Security
	if o.Security != nil {
		all = *o.Security
	}
	for _, s := range all {
		if strings.Join(strings.Fields(string(s)), "") == "{}" {
			return false
		}
	}
	return len(all) > 0
}

// answersJSON tells whether a success is JSON; a document that does not say is believed to mean it.
func (o *openOperation) answersJSON() bool {
	isJSON := func(media string) bool {
		media, _, _ = strings.Cut(strings.ToLower(media), ";")
		media = strings.TrimSpace(media)
		return media == "application/json" || strings.HasSuffix(media, "+json") || media == "*/*" || media == "application/*"
	}
	if len(o.Produces) > 0 {
		return slices.ContainsFunc(o.Produces, isJSON)
	}
	said := false
	for status, r := range o.Responses {
		if !strings.HasPrefix(status, "2") && status != "default" {
			continue
		}
		for media := range r.Content {
			if isJSON(media) {
				return true
			}
			said = true
		}
	}
	return !said
}

// server is the URL that paths begin with, without a slash at its end.
func (doc *document) server(base *url.URL) (string, error) {
	text := ""
	switch {
	case len(doc.Servers) > 0:
		text = doc.Servers[0].URL
		for name, v := range doc.Servers[0].Variables {
			text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
		}
	case doc.Host != "":
		scheme := "https"
		if len(doc.Schemes) > 0 && !slices.Contains(doc.Schemes, "https") {
			scheme = doc.Schemes[0]
		}
		text = scheme + "://" + doc.Host + doc.BasePath
	default:
		text = doc.BasePath
	}
	u, err := url.Parse(text)
	if err != nil || strings.ContainsAny(text, "{}") {
		return "", fmt.Errorf("the OpenAPI document of -from has no URL of a server that could be used: %q", text)
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("the OpenAPI document of -from does not say at which host its service is (servers: %q); name the document by its URL there, or add servers", text)
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return strings.TrimRight(u.String(), "/"), nil
}

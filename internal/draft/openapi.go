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

// OpenAPI drafts a configuration for the paths of a service that an OpenAPI document describes:
// each GET with a parameter in its path that answers with JSON. base is where the document is
// from, which its server may be relative to; nil if it is a file.
func OpenAPI(text []byte, base *url.URL, o Options) (*Draft, error) {
	doc, err := readDocument(text)
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document of -from: %w", err)
	}
	doc.base = base
	d := &Draft{}
	var b strings.Builder
	head(&b, o, "")
	w := originWriter{draft: d, out: &b, given: names{}}
	paths := make([]string, 0, len(doc.Paths))
	for p := range doc.Paths {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var more []string
	for _, p := range paths {
		if doc.write(&w, p, o.Names) {
			more = append(more, p)
		}
	}
	if len(d.Resources) == 0 && doc.noServer != nil {
		return nil, doc.noServer
	}
	d.beyond("resources", "the first segments of those to serve", more)
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

// write writes the resource of one path, or why there is none. It tells whether there is no
// room for it.
func (doc *document) write(w *originWriter, path string, wanted []string) (noRoom bool) {
	d := w.draft
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !strings.Contains(path, "{") || strings.HasPrefix(path, "x-") || len(wanted) > 0 && !slices.Contains(wanted, first) {
		return false
	}
	item, why := doc.pathItem(path)
	if item.Get == nil && why == "" {
		return false
	}
	if len(d.Resources) == MaxResources {
		return true
	}
	if why == "" {
		why = doc.writeItem(w, path, item)
	}
	if why != "" {
		d.Left = append(d.Left, line(path)+" "+why)
	}
	return false
}

func (doc *document) writeItem(w *originWriter, path string, item pathItem) (why string) {
	at, params, why := doc.template(path, &item)
	switch {
	case why != "":
		return why
	case doc.secured(item.Get):
		return "needs credentials: what it answers may be for one client alone, and Hearth serves the same to all; write its resource by hand if it is not"
	case !doc.answersJSON(item.Get):
		return "does not answer with JSON"
	}
	server, err := doc.serverOf(&item)
	if err != nil {
		if doc.noServer == nil {
			doc.noServer = err
		}
		return err.Error()
	}
	return w.write(originOf{path: at.path, params: params, url: server + at.there, title: line(item.Get.Summary), puts: item.Put != nil, deletes: item.Delete != nil})
}

// template is a path as resource.path has it, as resource.origin has it, and the names that its
// parameters have in the document.
type template struct {
	path, there string
	names       []string
}

// template reads a path. params are the names of its parameters here, and why says what keeps it
// from being served.
func (doc *document) template(path string, item *pathItem) (t template, params []string, why string) {
	known, why := doc.parameters(item)
	switch {
	case why != "":
		return t, nil, why
	case !strings.HasPrefix(path, "/"):
		return t, nil, "does not begin with a slash"
	case strings.HasSuffix(path, "/"):
		return t, nil, "ends in a slash, and no path of a record does"
	}
	for _, segment := range strings.Split(strings.Trim(path, "/"), "/") {
		name, isParam := strings.CutPrefix(segment, "{")
		name, isWhole := strings.CutSuffix(name, "}")
		switch {
		case isParam && isWhole && !strings.ContainsAny(name, "{}"):
			t.names = append(t.names, name)
		case !param.IsLiteral(segment):
			return t, nil, "has a segment that mixes text and parameters, or has characters that would need encoding"
		}
	}
	for i, name := range t.names {
		if slices.Contains(t.names[:i], name) {
			return t, nil, fmt.Sprintf("has the parameter {%s} twice", line(name))
		}
	}
	params = parameterNames(t.names)
	at := 0
	for _, segment := range strings.Split(strings.Trim(path, "/"), "/") {
		if strings.HasPrefix(segment, "{") {
			t.path += "/{" + params[at] + ":" + string(doc.kind(known[t.names[at]])) + "}"
			t.there += "/{" + params[at] + "}"
			at++
			continue
		}
		t.path, t.there = t.path+"/"+segment, t.there+"/"+segment
	}
	return t, params, ""
}

// parameters are those of a GET that are in its path; why names one without which it is not
// answered, and that a path cannot have.
func (doc *document) parameters(item *pathItem) (known map[string]openParameter, why string) {
	known = map[string]openParameter{}
	for _, raw := range slices.Concat(item.Parameters, item.Get.Parameters) {
		var p openParameter
		if !doc.read(raw, &p) {
			return nil, "has a parameter that cannot be read here; write its resource by hand"
		}
		switch name := strings.ToLower(p.Name); {
		case p.In == "path" && p.Style != "" && p.Style != "simple":
			return nil, fmt.Sprintf("writes its parameter %q in the style %q, which no origin does", line(p.Name), line(p.Style))
		case p.In == "path":
			known[p.Name] = p
		case !p.Required || p.In == "header" && slices.Contains([]string{"accept", "content-type"}, name):
		case p.In == "query":
			return nil, fmt.Sprintf("needs the parameter %q in its query, and a record is named by its path alone", line(p.Name))
		case p.In == "header" || p.In == "cookie":
			return nil, fmt.Sprintf("needs the %s %q, and a record is named by its path alone", p.In, line(p.Name))
		}
	}
	return known, ""
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
func (doc *document) answersJSON(o *openOperation) bool {
	produces := o.Produces
	if len(produces) == 0 {
		produces = doc.Produces
	}
	if len(produces) > 0 {
		return slices.ContainsFunc(produces, isJSON)
	}
	var successes, others []json.RawMessage
	for status, r := range o.Responses {
		switch {
		case status == "204" || status == "205": // have no body
		case strings.HasPrefix(status, "2"):
			successes = append(successes, r)
		case status == "default":
			others = append(others, r)
		}
	}
	if len(successes) == 0 {
		successes = others
	}
	for _, raw := range successes {
		var r struct {
			Content map[string]json.RawMessage `json:"content"`
		}
		if !doc.read(raw, &r) || len(r.Content) == 0 {
			return true // it is not said
		}
		for media := range r.Content {
			if isJSON(media) {
				return true
			}
		}
	}
	return len(o.Responses) == 0
}

func isJSON(media string) bool {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	media = strings.TrimSpace(media)
	return media == "application/json" || strings.HasSuffix(media, "+json") || media == "*/*" || media == "application/*"
}

// serverOf is the URL that a path begins with, without a slash at its end: its own, or else the
// document's.
func (doc *document) serverOf(item *pathItem) (string, error) {
	text := doc.BasePath
	switch {
	case len(item.Get.Servers) > 0:
		text = item.Get.Servers[0].text()
	case len(item.Servers) > 0:
		text = item.Servers[0].text()
	case len(doc.Servers) > 0:
		text = doc.Servers[0].text()
	case doc.Host != "":
		scheme := "https"
		if len(doc.Schemes) > 0 && !slices.Contains(doc.Schemes, "https") {
			scheme = doc.Schemes[0]
		}
		text = scheme + "://" + doc.Host + doc.BasePath
	}
	u, err := url.Parse(text)
	if err != nil || strings.ContainsAny(text, "{}") {
		return "", fmt.Errorf("the OpenAPI document of -from has no URL of a server that could be used: %q", text)
	}
	if doc.base != nil {
		u = doc.base.ResolveReference(u)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("the OpenAPI document of -from does not say at which host its service is (servers: %q); name the document by its URL there, or add servers", text)
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	return strings.TrimRight(u.String(), "/"), nil
}

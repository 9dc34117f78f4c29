package draft

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"hearth/internal/config"
	"hearth/internal/param"
)

// originOf is a resource whose records come from a service.
type originOf struct {
	path          string   // its template
	params        []string // in it
	url           string   // of the service, with the parameters
	title         string
	puts, deletes bool
}

// typedParam is a parameter in a URL of -from, with its kind or without.
var typedParam = regexp.MustCompile(`\{([A-Za-z_][A-Za-z0-9_]*)(?::(int|string|uuid))?\}`)

// IsRecord tells whether -from names one record of a service: a URL with {parameters}.
func IsRecord(from string) bool {
	scheme, rest, _ := strings.Cut(from, "://")
	return typedParam.MatchString(from) || isHTTP(scheme) && strings.ContainsAny(rest, "{}")
}

// Origin drafts a configuration for records of a service at the URL of -from, such as
// https://users.internal/v1/users/{id:int}. A parameter without a kind is text.
func Origin(o Options) (*Draft, error) {
	plain := typedParam.ReplaceAllString(o.From, "{$1}")
	u, err := url.Parse(typedParam.ReplaceAllString(o.From, "x"))
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("the URL %q of -from is none of a record; write it as https://users.internal/v1/users/{id:int}", shown(o.From))
	case u.User != nil:
		return nil, errors.New("the URL of -from has a user; a service is asked with resource.origin_token_file instead")
	case strings.Contains(o.From, "#"):
		return nil, fmt.Errorf("the URL %q of -from has a fragment, which is never sent; remove the part from # on", o.From)
	case strings.ContainsFunc(o.From, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return nil, fmt.Errorf("the URL %q of -from has characters that a URL has not; percent-encode them", o.From)
	case strings.ContainsAny(typedParam.ReplaceAllString(o.From, ""), "{}"):
		return nil, fmt.Errorf("the URL %q of -from has a parameter that is not understood; write {name}, {name:int}, {name:string} or {name:uuid}, the name of letters, digits and _", o.From)
	}
	d, of := &Draft{}, originOf{url: plain}
	// The path here has the same names as the one there, as far as one is a path of Hearth's.
	rest := o.From[strings.Index(o.From, "://")+3:]
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	if typedParam.MatchString(rest[:at]) {
		return nil, fmt.Errorf("the URL %q of -from has a parameter in its host, and a client must not choose that", o.From)
	}
	path, query, _ := strings.Cut(rest[at:], "?")
	for _, segment := range strings.Split(strings.Trim(path, "/"), "/") {
		if found := typedParam.FindStringSubmatch(segment); found != nil {
			of.add(found)
		} else if param.IsLiteral(segment) {
			of.path += "/" + segment
		}
	}
	for _, found := range typedParam.FindAllStringSubmatch(query, -1) {
		of.add(found)
	}
	var b strings.Builder
	head(&b, o, "")
	w := originWriter{draft: d, out: &b, given: names{}}
	if why := w.write(of); why != "" {
		return nil, fmt.Errorf("the path %q %s", of.path, why)
	}
	d.Text = []byte(b.String())
	return d, nil
}

func (of *originOf) add(found []string) {
	kind := found[2]
	if kind == "" {
		kind = "string"
	}
	of.params = append(of.params, found[1])
	of.path += "/{" + found[1] + ":" + kind + "}"
}

// originWriter writes resources of a service.
type originWriter struct {
	draft *Draft
	out   *strings.Builder
	given names
	taken []param.Path // by those that are written
}

// write writes a resource, or says why it cannot be served beside the others.
func (w *originWriter) write(of originOf) (why string) {
	var words []string
	for _, segment := range strings.Split(strings.Trim(of.path, "/"), "/") {
		if !strings.HasPrefix(segment, "{") {
			words = append(words, segment)
		}
	}
	path := of.path
	if strings.HasPrefix(path, "/{") { // without a word of its own it would take all paths
		path = "/records" + path
	}
	if why := w.take(path); why != "" {
		return why
	}
	b, name := w.out, w.given.of(words...)
	key := name
	for _, p := range of.params {
		key += ":{" + p + "}"
	}
	b.WriteString(rule)
	if of.title != "" {
		comment(b, "", cut(of.title, 300))
	}
	fmt.Fprintf(b, "[[resource]]\nname = %s\npath = %s\n", basic(name), basic(path))
	first := len(w.draft.Resources) == 0
	if first {
		fmt.Fprintf(b, "\n# In the shared tier. When the records' shape changes, change the prefix, too (%s:v2:…).\n", name)
	}
	fmt.Fprintf(b, "key = %s\n", basic(key))
	if first {
		b.WriteString("\n# \"\" answers with the record as the service sends it.\n")
	}
	b.WriteString("envelope = \"\"\n")
	if first {
		b.WriteString("\n# Where records come from. What the service marks as private or no-store, or sends with Set-Cookie\n# or Vary, is kept nowhere.\n")
	}
	fmt.Fprintf(b, "origin = %s\n", basic(of.url))
	if first {
		b.WriteString("#origin_token_file = \"origin-token\"   # sent to it as a bearer token\n#obey_max_age = true                   # its max-age bounds the lifetimes below\n")
	}
	var writes []string
	if of.puts {
		writes = append(writes, `"PUT"`)
	}
	if of.deletes {
		writes = append(writes, `"DELETE"`)
	}
	if len(writes) > 0 {
		fmt.Fprintf(b, "#origin_writes = [%s]   # go on to the service, and drop the copies\n", strings.Join(writes, ", "))
	}
	b.WriteString("timeout = \"2s\"\n")
	if first {
		b.WriteString("\n# How long copies live in the shared tier. Nobody tells of changes that are made at the service\n# itself (POST /api/invalidate of the admin listener does), so this is how old a record can be.\n")
	}
	b.WriteString("ttl = { cold = \"1m\", hot = \"1m\", missing = \"10s\", stale = \"10m\" }\n")
	w.draft.Resources = append(w.draft.Resources, Resource{Name: name, Path: path})
	return ""
}

// take takes a path, and its collection, unless another resource or the server itself has one of
// its requests.
func (w *originWriter) take(path string) (why string) {
	p, wrong := param.ParsePath(path)
	if wrong != "" {
		return wrong
	}
	mine := []param.Path{p}
	if c := p.Collection(); c != "" {
		many, _ := param.ParsePath(c)
		mine = append(mine, many)
	}
	for _, own := range config.BuiltIn() {
		reserved, _ := param.ParsePath(own)
		if slices.ContainsFunc(mine, reserved.Overlaps) || own == "/docs" && p.Segments[0].Literal == "docs" {
			return "takes requests of " + own + ", which the server answers by itself"
		}
	}
	for _, taken := range w.taken {
		if slices.ContainsFunc(mine, taken.Overlaps) {
			return "answers requests of " + taken.Text + ", too"
		}
	}
	w.taken = append(w.taken, mine...)
	return ""
}

package param

import (
	"net/url"
	"regexp"
	"strings"
)

// URL is a parsed template of an http or https URL such as
// https://records.example.org/users/{user_id}. Its parameters stand behind the
// host: one from a request would let clients choose whom the server asks.
type URL struct {
	Text   string
	Host   string   // with its port
	Params []string // names, in order
}

// placeholder is a parameter of a URL.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// ParseURL parses the template of a URL, or says what is wrong with it.
func ParseURL(text string) (u URL, wrong string) {
	const form = `is no URL; write it as "https://records.example.org/users/{user_id}"`
	if strings.ContainsAny(placeholder.ReplaceAllString(text, ""), "{}") {
		return u, "has a brace that is part of no {parameter}; use braces for the path's parameters only"
	}
	sample, err := url.Parse(placeholder.ReplaceAllString(text, "0"))
	switch {
	case err != nil:
		return u, form
	case sample.Scheme != "http" && sample.Scheme != "https":
		return u, `begins with neither http:// nor https://; write it as "https://records.example.org/users/{user_id}"`
	case sample.Hostname() == "":
		return u, form
	case sample.Fragment != "":
		return u, "has a fragment, which is never sent; remove the part from # on"
	}
	u.Text = text
	_, u.Host, _ = strings.Cut(text, "://")
	if i := strings.IndexAny(u.Host, "/?"); i >= 0 {
		u.Host = u.Host[:i]
	}
	if strings.Contains(u.Host, "{") {
		return u, "has a parameter in its host; use parameters behind the host only"
	}
	for _, p := range placeholder.FindAllString(text, -1) {
		u.Params = append(u.Params, strings.Trim(p, "{}"))
	}
	return u, ""
}

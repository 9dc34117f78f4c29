package param

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// URL is a parsed template of an http or https URL such as
// https://records.example.org/users/{user_id}. Its parameters stand behind the
// host: one from a request would let clients choose whom the server asks.
type URL struct {
	// Text is the template as it is written.
	Text string
	// Secure tells https from http.
	Secure bool
	// Host has its port, if one is written.
	Host string
	// Parts make up Text, Path each segment of its path.
	Parts []Part
	Path  [][]Part
}

// placeholder is a parameter of a URL.
var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// ParseURL parses the template of a URL, or says what is wrong with it.
func ParseURL(text string) (u URL, wrong string) {
	const example = `write it as "https://records.example.org/users/{user_id}"`
	if strings.ContainsAny(placeholder.ReplaceAllString(text, ""), "{}") {
		return u, "has a brace that is part of no {parameter}; use braces for the path's parameters only"
	}
	// A digit may stand wherever a value may: in a path, and in a query.
	sample, err := url.Parse(placeholder.ReplaceAllString(text, "0"))
	switch {
	case err != nil:
		return u, "is no URL; " + example
	case sample.Scheme != "http" && sample.Scheme != "https":
		return u, "begins with neither http:// nor https://; " + example
	case sample.Hostname() == "":
		return u, "is no URL; " + example
	case !isPort(sample.Port()):
		return u, "has no port from 1 to 65535; " + example
	case sample.Fragment != "":
		return u, "has a fragment, which is never sent; remove the part from # on"
	}
	_, rest, _ := strings.Cut(text, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	u = URL{Text: text, Secure: sample.Scheme == "https", Host: rest[:end], Parts: cut(text)}
	if strings.Contains(u.Host, "{") {
		return URL{}, "has a parameter in its host; use parameters behind the host only"
	}
	// The path begins with a slash, so its first segment is empty.
	path, _, _ := strings.Cut(rest[end:], "?")
	for segment := range strings.SplitSeq(path, "/") {
		u.Path = append(u.Path, cut(segment))
	}
	return u, ""
}

// isPort tells whether a port can be connected to; "" is that of the scheme. url.Parse
// takes any digits.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && n > 0
}

// cut takes a text with placeholders apart.
func cut(text string) (parts []Part) {
	start := 0
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		if start < at[0] {
			parts = append(parts, Part{Literal: text[start:at[0]]})
		}
		parts = append(parts, Part{Param: text[at[0]+1 : at[1]-1]})
		start = at[1]
	}
	if start < len(text) {
		parts = append(parts, Part{Literal: text[start:]})
	}
	return parts
}

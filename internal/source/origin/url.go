package origin

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source"
)

// What an origin makes of a path is its own affair: many decode %2F before they
// take it apart, some take backslashes for slashes, decode twice, or cut off what
// follows a semicolon. So a value that is encoded well may still lead out of the
// place that the configuration has given it. A value is refused if any such
// reading of the finished path would have more segments than the template, or
// a segment that names no record: nothing, dots alone.

// template is a URL with placeholders for path parameters. It never changes after
// New, so any number of loads share it.
type template struct {
	params []param.Param
	host   string // with its port, if it has one
	secure bool
	whole  pieces
	path   []pieces // segments of the path that have placeholders; literals are decoded
}

// pieces is a text around placeholders.
type pieces struct {
	literals []string // one more than params
	params   []int
}

// newTemplate finds the places of the parameters in a URL. Its errors are about
// the configuration and never show a password.
func newTemplate(u param.URL, params []param.Param) (t template, err error) {
	t = template{params: params, host: u.Host, secure: u.Secure}
	if strings.Contains(t.host, "@") {
		return t, fmt.Errorf("the host %q has to be fixed, without user and placeholders", redactUser(t.host))
	}
	if t.whole, err = resolve(u.Parts, params); err != nil {
		return t, err
	}
	for i, p := range params {
		if !slices.Contains(t.whole.params, i) { // one record would be served under all names
			return t, fmt.Errorf("the path parameter {%s} has no place in the URL", p.Name)
		}
	}
	for _, parts := range u.Path {
		s, err := segment(parts, params)
		if err != nil {
			return t, err
		}
		if len(s.params) > 0 {
			t.path = append(t.path, s)
		}
	}
	return t, nil
}

// resolve replaces names by the places of params. The literals stay as they are
// written, for the URL; segment decodes those of the path.
func resolve(parts []param.Part, params []param.Param) (p pieces, err error) {
	p.literals = []string{""}
	for _, part := range parts {
		if part.Param == "" {
			p.literals[len(p.literals)-1] = part.Literal
			continue
		}
		i := slices.IndexFunc(params, func(p param.Param) bool { return p.Name == part.Param })
		if i < 0 {
			return p, fmt.Errorf("unknown placeholder {%s}; the path has %s", part.Param, names(params))
		}
		p.params, p.literals = append(p.params, i), append(p.literals, "")
	}
	return p, nil
}

// names lists parameters as they are written in a template.
func names(params []param.Param) string {
	if len(params) == 0 {
		return "no parameters"
	}
	var all []string
	for _, p := range params {
		all = append(all, "{"+p.Name+"}")
	}
	return strings.Join(all, ", ")
}

// segment takes a segment of the path apart. It fails where a literal would
// finish what a value begins, or the other way round. It returns the segment with
// decoded literals, as refuses compares decoded text.
func segment(parts []param.Part, params []param.Param) (s pieces, err error) {
	if s, err = resolve(parts, params); err != nil {
		return s, err
	}
	for i, part := range s.literals {
		if strings.Contains(part, `\`) {
			return s, errors.New(`a backslash is a slash to some servers; write / or %5C`)
		}
		decoded, ok := param.Decode([]byte(part), false)
		if !ok {
			return s, errors.New("the path has a percent sign without two hexadecimal digits; write %25 for the sign itself")
		}
		s.literals[i] = decoded
	}
	if decoded := s.literals[0]; len(s.params) == 0 && (decoded == "." || decoded == "..") {
		return s, fmt.Errorf("the path has the segment %q, which servers resolve; write the path that it leads to", parts[0].Literal)
	}
	return s, nil
}

// redactUser keeps credentials out of error texts.
func redactUser(host string) string {
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return "…" + host[i:]
	}
	return host
}

// of returns the URL for args, or false when no URL surely names the record. A
// value is one piece of a path or a query: all but the unreserved characters of
// RFC 3986 is percent-encoded. QueryEscape writes a blank as a plus, which means
// a blank in a query only; %20 means one everywhere.
func (t template) of(args source.Args) (string, bool) {
	if t.refuses(args) != "" {
		return "", false
	}
	var b strings.Builder
	for i, p := range t.whole.params {
		b.WriteString(t.whole.literals[i])
		b.WriteString(strings.ReplaceAll(url.QueryEscape(fmt.Sprint(args[p])), "+", "%20"))
	}
	b.WriteString(t.whole.literals[len(t.whole.params)])
	return b.String(), true
}

// refuses names the parameter whose value could lead elsewhere than the template
// says, or returns "". Each value is looked at alone first, then the segment as a
// whole: a value such as "." is harmless within v{x} and not by itself.
func (t template) refuses(args source.Args) string {
	for _, s := range t.path {
		text := s.literals[0]
		for i, p := range s.params {
			value := fmt.Sprint(args[p])
			if strays(value) {
				return t.params[p].Name
			}
			text += value + s.literals[i+1]
		}
		if strays(text) || isNoName(text) {
			return t.params[s.params[0]].Name
		}
	}
	return ""
}

// decodings calls found with text, decoded once more each time until nothing is
// left to decode, and tells whether it held for any. It ends because each
// decoding makes the text shorter.
func decodings(text string, found func(string) bool) bool {
	for {
		if found(text) {
			return true
		}
		next := param.Unescape(text)
		if next == text {
			return false
		}
		text = next
	}
}

// strays tells whether text, however often it is decoded, has what ends a segment
// of a path, or a byte that no path has. Bytes below a blank end a line or a
// header for some servers.
func strays(text string) bool {
	return decodings(text, func(text string) bool {
		return strings.ContainsFunc(text, func(r rune) bool { return r == '/' || r == '\\' || r < ' ' || r == 0x7f })
	})
}

// isNoName tells whether a segment, however often it is decoded, is empty or
// consists of dots, with what servers leave out: blanks at the end, parameters
// behind a semicolon.
func isNoName(text string) bool {
	return decodings(text, func(text string) bool {
		name, _, _ := strings.Cut(text, ";")
		return strings.Trim(name, ". ") == ""
	})
}

package origin

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
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

// template is a URL with placeholders for path parameters.
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

// parse takes a URL template apart.
func parse(text string, params []param.Param) (t template, err error) {
	t.params = params
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme != "http" && scheme != "https" {
		return t, errors.New("the URL has to begin with http:// or https://")
	}
	t.secure, t.host = scheme == "https", rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		t.host = rest[:i]
	}
	if t.host == "" || strings.ContainsAny(t.host, "{}@#") {
		return t, fmt.Errorf("the host %q has to be fixed, without user and placeholders", redactUser(t.host))
	}
	if strings.Contains(rest, "#") {
		return t, errors.New("a fragment never reaches a server; leave out the #")
	}
	if t.whole, err = cut(text, params); err != nil {
		return t, err
	}
	if _, err := url.Parse(strings.Join(t.whole.literals, "0")); err != nil {
		return t, errors.New("the URL does not parse")
	}
	for i, p := range params {
		if !slices.Contains(t.whole.params, i) { // one record would be served under all names
			return t, fmt.Errorf("the path parameter {%s} has no place in the URL", p.Name)
		}
	}
	path, _, _ := strings.Cut(rest[len(t.host):], "?")
	for text := range strings.SplitSeq(path, "/") {
		s, err := segment(text, params)
		if err != nil {
			return t, err
		}
		if len(s.params) > 0 {
			t.path = append(t.path, s)
		}
	}
	return t, nil
}

// placeholder matches what looks like one in a statement, too, so that {body.a} is
// refused by name.
var placeholder = regexp.MustCompile(`\{[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*\??\}`)

// cut finds the placeholders of a text.
func cut(text string, params []param.Param) (p pieces, err error) {
	start := 0
	literal := func(end int) error {
		if i := strings.IndexAny(text[start:end], "{}"); i >= 0 {
			return fmt.Errorf("the brace at byte %d belongs to no placeholder; write %%7B or %%7D", start+i)
		}
		p.literals = append(p.literals, text[start:end])
		return nil
	}
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		if err := literal(at[0]); err != nil {
			return p, err
		}
		name := text[at[0]+1 : at[1]-1]
		i := slices.IndexFunc(params, func(p param.Param) bool { return p.Name == name })
		if i < 0 {
			return p, fmt.Errorf("unknown placeholder {%s}; the path has %s", name, names(params))
		}
		p.params = append(p.params, i)
		start = at[1]
	}
	return p, literal(len(text))
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
// finish what a value begins, or the other way round.
func segment(text string, params []param.Param) (s pieces, err error) {
	if s, err = cut(text, params); err != nil {
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
		return s, fmt.Errorf("the path has the segment %q, which servers resolve; write the path that it leads to", text)
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
// RFC 3986 is percent-encoded.
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
// says, or returns "".
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
// left to decode, and tells whether it held for any.
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
// of a path, or a byte that no path has.
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

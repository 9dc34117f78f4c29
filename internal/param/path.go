package param

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Path is a parsed path template such as /user/{user_id:int}.
type Path struct {
	// Text is the template as it is written.
	Text string
	// Segments are what stands between the slashes; there is at least one.
	Segments []Segment
}

// Segment is a literal or, with a non-empty Param, a parameter.
type Segment struct {
	Literal string
	Param   string
	Type    Kind
}

// literal is a segment that needs no encoding, so that it has one spelling.
var literal = regexp.MustCompile(`^[A-Za-z0-9._~@-]+$`)

// IsLiteral tells whether a segment can stand in a path as it is.
func IsLiteral(segment string) bool { return literal.MatchString(segment) }

// IsName tells whether a parameter can have that name.
func IsName(text string) bool { return paramName.MatchString(text) }

// Params lists the parameters of the path in order.
func (p Path) Params() []Param { return Params(p.Segments) }

// Params lists the parameters among segments in order.
func Params(segments []Segment) []Param {
	var ps []Param
	for _, s := range segments {
		if s.Param != "" {
			ps = append(ps, Param{s.Param, s.Type})
		}
	}
	return ps
}

// Collection returns the path under which many records are read at once, /user
// for /user/{user_id:int}, or "" if there is none: there has to be exactly one
// parameter, in the last segment and behind another one.
func (p Path) Collection() string {
	n := len(p.Segments)
	if n < 2 || len(p.Params()) != 1 || p.Segments[n-1].Param == "" {
		return ""
	}
	return p.Text[:strings.LastIndexByte(p.Text, '/')]
}

// Plain is the template without the types of its parameters.
func (p Path) Plain() string {
	var b strings.Builder
	for _, s := range p.Segments {
		b.WriteString("/" + s.Literal)
		if s.Param != "" {
			b.WriteString("{" + s.Param + "}")
		}
	}
	return b.String()
}

// ParsePath parses /user/{user_id:int}, or says what is wrong with it.
func ParsePath(text string) (p Path, wrong string) {
	p = Path{Text: text}
	if !strings.HasPrefix(text, "/") {
		return Path{}, fmt.Sprintf("does not begin with a slash; write it as %s", strconv.Quote("/"+text))
	}
	if text == "/" {
		return Path{}, `is the root, which is reserved; take another path`
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(text[1:], "/") {
		s, wrong := parseSegment(part)
		if wrong != "" {
			return Path{}, wrong
		}
		if s.Param != "" && seen[s.Param] {
			return Path{}, fmt.Sprintf("has two parameters named %q; rename one", s.Param)
		}
		seen[s.Param] = true
		p.Segments = append(p.Segments, s)
	}
	return p, ""
}

// parseSegment parses what stands between two slashes.
func parseSegment(part string) (s Segment, wrong string) {
	switch {
	case part == "":
		return Segment{}, "has an empty segment; remove the surplus slash"
	// Browsers and proxies resolve these: no request would arrive.
	case part == "." || part == "..":
		return Segment{}, fmt.Sprintf("has the segment %q, which clients resolve before asking; remove it", part)
	case !strings.ContainsAny(part, "{}"):
		if !IsLiteral(part) {
			return Segment{}, fmt.Sprintf("has the segment %s; use letters, digits and . _ ~ @ - only", strconv.Quote(part))
		}
		return Segment{Literal: part}, ""
	}
	inner, opened := strings.CutPrefix(part, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || strings.ContainsAny(inner, "{}") {
		return Segment{}, fmt.Sprintf("has the segment %s; a parameter is a whole segment, such as /{id:int}/", strconv.Quote(part))
	}
	param, typ, _ := strings.Cut(inner, ":")
	if !paramName.MatchString(param) || param == "body" {
		return Segment{}, fmt.Sprintf("has a parameter named %s; use letters, digits and _, a letter first, and not the word body", strconv.Quote(param))
	}
	if !Kind(typ).Known() {
		return Segment{}, fmt.Sprintf("has the parameter %s, whose type is none of int, string and uuid; write it as {%s:%s}", strconv.Quote(part), param, meant(typ))
	}
	return Segment{Param: param, Type: Kind(typ)}, ""
}

// meant guesses the kind behind a word that is none.
func meant(typ string) Kind {
	typ = strings.ToLower(typ)
	switch {
	case strings.Contains(typ, "int"), strings.Contains(typ, "num"), strings.Contains(typ, "long"):
		return Int
	case strings.Contains(typ, "uid"):
		return UUID
	}
	return String
}

// Overlaps tells whether two paths compete for one request. Two parameters in
// one place do whatever their kinds, because a value of the wrong kind is
// answered (422) and not passed on to the next route.
func (p Path) Overlaps(other Path) bool {
	if len(p.Segments) != len(other.Segments) {
		return false
	}
	for i, x := range p.Segments {
		y := other.Segments[i]
		switch {
		// Whatever their types: see above.
		case x.Param != "" && y.Param != "":
		case x.Param != "" && !x.takes(y.Literal),
			y.Param != "" && !y.takes(x.Literal),
			x.Param == "" && y.Param == "" && x.Literal != y.Literal:
			return false
		}
	}
	return true
}

// takes tells whether the parameter can have the value of a segment.
func (s Segment) takes(segment string) bool {
	_, reason := Param{s.Param, s.Type}.Parse(segment)
	return reason == ""
}

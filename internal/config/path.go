package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Params lists the parameters of the path in order.
func (p Path) Params() []Segment {
	var ps []Segment
	for _, s := range p.Segments {
		if s.Param != "" {
			ps = append(ps, s)
		}
	}
	return ps
}

// Collection returns the path under which many records of the resource are
// read at once, /user for /user/{user_id:int}, or "" if there is none: it takes
// exactly one parameter, in the last segment and behind another one.
func (r Resource) Collection() string {
	n := len(r.Path.Segments)
	if n < 2 || len(r.Path.Params()) != 1 || r.Path.Segments[n-1].Param == "" {
		return ""
	}
	return r.Path.Text[:strings.LastIndexByte(r.Path.Text, '/')]
}

var (
	name      = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	literal   = regexp.MustCompile(`^[A-Za-z0-9._~@-]+$`)
	uuid      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	integer   = regexp.MustCompile(`^-?[0-9]+$`)
)

// pathReader reads the path of a resource.
func pathReader(dst *Path) reader {
	return func(n *node, bad complain) {
		if !isText(n) {
			bad(n, "%s is no text; write it in double quotes", describe(n))
			return
		}
		p, wrong := parsePath(n.text)
		if wrong != "" {
			bad(n, "%s %s", quote(n.text), wrong)
			return
		}
		*dst = p
	}
}

// parsePath parses /user/{user_id:int}, or says what is wrong with it.
func parsePath(text string) (Path, string) {
	p := Path{Text: text}
	if !strings.HasPrefix(text, "/") {
		return Path{}, fmt.Sprintf("does not begin with a slash; write it as %s", quote("/"+text))
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

func parseSegment(part string) (Segment, string) {
	switch {
	case part == "":
		return Segment{}, "has an empty segment; remove the surplus slash"
	case part == "." || part == "..":
		return Segment{}, fmt.Sprintf("has the segment %q, which clients resolve before asking; remove it", part)
	case !strings.ContainsAny(part, "{}"):
		if !literal.MatchString(part) {
			return Segment{}, fmt.Sprintf("has the segment %s; use letters, digits and . _ ~ @ - only", quote(part))
		}
		return Segment{Literal: part}, ""
	}
	inner, opened := strings.CutPrefix(part, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !opened || !closed || strings.ContainsAny(inner, "{}") {
		return Segment{}, fmt.Sprintf("has the segment %s; a parameter is a whole segment, such as /{id:int}/", quote(part))
	}
	param, typ, _ := strings.Cut(inner, ":")
	if !paramName.MatchString(param) || param == "body" {
		return Segment{}, fmt.Sprintf("has a parameter named %s; use letters, digits and _, a letter first, and not the word body", quote(param))
	}
	if typ != "int" && typ != "string" && typ != "uuid" {
		meant := nearest(typ, []string{"int", "string", "uuid"})
		if meant == "" {
			meant = "string"
		}
		return Segment{}, fmt.Sprintf("has the parameter %s, whose type is none of int, string and uuid; write it as {%s:%s}", quote(part), param, meant)
	}
	return Segment{Param: param, Type: typ}, ""
}

// accepts tells whether a parameter of the type can have the value of a segment.
func accepts(typ, segment string) bool {
	switch typ {
	case "int":
		return integer.MatchString(segment)
	case "uuid":
		return uuid.MatchString(segment)
	}
	return true
}

// overlaps tells whether two paths compete for one request. Two parameters in
// one place do whatever their types, because a value of the wrong type is
// answered (422) and not passed on to the next route.
func overlaps(a, b Path) bool {
	if len(a.Segments) != len(b.Segments) {
		return false
	}
	for i, x := range a.Segments {
		y := b.Segments[i]
		switch {
		case x.Param != "" && y.Param != "":
		case x.Param != "" && !accepts(x.Type, y.Literal),
			y.Param != "" && !accepts(y.Type, x.Literal),
			x.Param == "" && y.Param == "" && x.Literal != y.Literal:
			return false
		}
	}
	return true
}

// checkPlainPath accepts a path without parameters.
func checkPlainPath(text string) string {
	p, wrong := parsePath(text)
	if wrong == "" && len(p.Params()) > 0 {
		return "has a parameter, which only a resource's path may have; write it without"
	}
	return wrong
}

// checkLimitPath accepts the template of a route or the beginning of paths.
func checkLimitPath(text string) string {
	if text == "/" || text == "/*" {
		return ""
	}
	_, wrong := parsePath(strings.TrimSuffix(text, "/*"))
	return wrong
}

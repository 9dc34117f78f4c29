package handlers

import (
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// Paths are matched by the same templates that the configuration, the limits and
// the fast path know, which is why no router does it. They are taken as they come:
// nothing is decoded before it is matched, no slash is merged and no dot resolved.

// find returns the route of a request, and the path's parameters as they came. A
// literal path goes before a template.
func (s *Server) find(method, path string) (rt *route, raw []string) {
	if rt := s.literals[method+path]; rt != nil {
		return rt, nil
	}
	steps := strings.Split(path, "/")
	for _, rt := range s.templates[method] {
		if raw, ok := match(rt.segments, steps); ok {
			return rt, raw
		}
	}
	return nil, nil
}

// match reads the parameters out of the steps of a path, of which the first stands
// before its first slash. No parameter is empty, and the root has no steps.
func match(path []param.Segment, steps []string) (raw []string, ok bool) {
	if len(path) == 0 || len(steps) != len(path)+1 || steps[0] != "" {
		return nil, false
	}
	for i, step := range steps[1:] {
		switch {
		case path[i].Param == "" && step != path[i].Literal, step == "":
			return nil, false
		case path[i].Param != "":
			raw = append(raw, step)
		}
	}
	return raw, true
}

// unrouted answers where no route has this method and path. OPTIONS is a browser's
// preflight, or asks what a path serves, "*" being any (RFC 9110, 9.3.7).
func (s *Server) unrouted(r *request, path string) error {
	allow := s.allowed(path)
	switch {
	case allow == "":
		return notFound()
	case !r.IsOptions():
		return &problem{status: 405, header: fasthttp.HeaderAllow, value: allow, detail: "this path serves " + allow}
	}
	r.Response.Header.Set(fasthttp.HeaderAllow, allow)
	if !s.cors.preflight(r.RequestCtx) {
		r.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}

// allowed are the methods that a path serves; "" if it serves none.
func (s *Server) allowed(path string) string {
	var methods []string
	steps := strings.Split(path, "/")
	for _, rt := range s.routes {
		if _, ok := match(rt.segments, steps); ok || path == rt.path || path == "*" {
			methods = append(methods, rt.method)
		}
	}
	if len(methods) == 0 {
		return ""
	}
	methods = append(methods, fasthttp.MethodOptions)
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}

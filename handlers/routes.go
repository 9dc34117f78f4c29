package handlers

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
	"hearth/internal/param"
)

// buildRoutes registers everything that is served, in one table. Paths found
// in the configuration come first; a many-read gives way to any other path.
func (s *Server) buildRoutes() {
	named := map[string]*resource{}
	for _, c := range s.config.Resources {
		res := newResource(c, &s.cors, s.deps.Metrics)
		named[res.Name] = res
		s.resources = append(s.resources, res)
		s.addRead(res.path, res.metrics, s.read(res))
		if c.CanPut {
			s.add(fasthttp.MethodPut, res.path, auth.Write, res.metrics, s.put(res))
		}
		if c.CanDelete {
			s.add(fasthttp.MethodDelete, res.path, auth.Write, res.metrics, s.remove(res))
		}
	}
	for _, c := range s.config.Counters {
		s.add(fasthttp.MethodGet, literal(c.Path), open, s.other, untagged(s.counter(c)))
	}
	for _, c := range s.config.Batches {
		res := named[c.Resource]
		if res == nil || len(res.params) != 1 {
			panic("BUG: batch " + strconv.Quote(c.Path) + " needs a resource with one path parameter")
		}
		s.add(fasthttp.MethodPost, literal(c.Path), auth.Write, res.metrics, untagged(s.batch(res)))
	}
	s.addRead(literal("/"), s.other, untagged(root))
	s.addRead(literal("/healthz"), s.other, s.health)
	if len(s.config.Docs.Page) > 0 {
		s.addRead(literal("/docs"), s.other, untagged(s.docsPage))
	}
	if len(s.config.Docs.OpenAPI) > 0 {
		s.addRead(literal("/openapi.json"), s.other, untagged(s.openAPI))
	}
	for i, c := range s.config.Resources {
		res := s.resources[i]
		all := res.path[:len(res.path)-1]
		if taken := s.literals[fasthttp.MethodGet+plain(all)] != nil; c.ManyRead && res.endsInParam() && len(all) > 0 && !taken {
			s.addRead(all, res.metrics, untagged(s.many(res)))
		}
	}
	s.fastRoutes = newFastRoutes(s.resources, s.routes, s.limits)
}

// addRead registers a GET and the HEAD that belongs to it. Reads are open.
func (s *Server) addRead(path []param.Segment, m *requestMetrics, op operation) {
	s.add(fasthttp.MethodGet, path, open, m, op)
	s.add(fasthttp.MethodHead, path, open, m, op)
}

// add registers a route. There is no other way to register one, so none can be
// without a scope.
func (s *Server) add(method string, path []param.Segment, scope auth.Scope, m *requestMetrics, op operation) {
	rt := &route{method: method, path: plain(path), segments: path, scope: scope, metrics: m, operation: op}
	s.routes = append(s.routes, rt)
	if len(param.Params(path)) == 0 {
		s.literals[method+rt.path] = rt
	} else {
		s.templates[method] = append(s.templates[method], rt)
	}
}

// literal is a path without parameters, and plain the text of any path.
func literal(path string) (segments []param.Segment) {
	for step := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' }) {
		segments = append(segments, param.Segment{Literal: step})
	}
	return segments
}

func plain(path []param.Segment) string { return cmp.Or(param.Path{Segments: path}.Plain(), "/") }

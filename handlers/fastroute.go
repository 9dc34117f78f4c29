package handlers

import (
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// fastRoute is a resource reached by a literal prefix and one parameter.
type fastRoute struct {
	*resource
	kind param.Kind
	// shadows are values of the parameter which a literal path of its own
	// takes: /user/count beside /user/{name}.
	shadows []string
	limits  []*limitRule // that may cover its requests
}

// newFastRoutes returns the routes of the fast path, each by its prefix up to the
// last slash, that included.
func newFastRoutes(resources []*resource, routes []*route, limits []*limitRule) map[string]*fastRoute {
	all := map[string]*fastRoute{}
	for _, res := range resources {
		if res.endsInParam() {
			prefix, _ := cutLastSegment(plain(res.path))
			all[prefix] = &fastRoute{resource: res, kind: res.params[0].Type, limits: rulesFor(res.path, limits)}
		}
	}
	for _, rt := range routes {
		prefix, last := cutLastSegment(rt.path)
		if fast := all[prefix]; fast != nil && rt.method == fasthttp.MethodGet && len(param.Params(rt.segments)) == 0 {
			fast.shadows = append(fast.shadows, last)
		}
	}
	return all
}

func cutLastSegment(path string) (prefix, last string) {
	cut := strings.LastIndexByte(path, '/') + 1
	return path[:cut], path[cut:]
}

func (f *fastRoute) shadowed(raw []byte) bool {
	for _, s := range f.shadows {
		if s == string(raw) {
			return true
		}
	}
	return false
}

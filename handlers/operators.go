package handlers

import (
	"errors"
	"slices"
	"strings"

	"hearth/cache"
	"hearth/internal/param"
)

// What operators ask of the routes: they name records by path or by key. A key is
// only taken if some record can have it, so that no request to the admin listener
// reaches into keys of other programs in the same Redis.

// Located is what a path names.
type Located struct {
	Resource *cache.Resource
	Key      string
	Params   map[string]string // in their canonical spelling

	// Status and Detail are how it is refused; 0: it is not.
	Status int
	Detail string
}

// Locate tells what a GET of path, such as /user/1, is about. ok is false if it is no record's.
func (s *Server) Locate(path string) (l Located, ok bool) {
	segments, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return l, false
	}
	steps := strings.Split(segments, "/")
	for _, res := range s.resources {
		if !res.covers(steps) {
			continue
		}
		// What one resource refuses another one of the same shape may take.
		if l, ok = res.located(steps), true; l.Status == 0 {
			break
		}
	}
	return l, ok
}

// covers tells whether the literal steps of a path are those of a resource, and there is
// something in place of each parameter.
func (res *resource) covers(steps []string) bool {
	if len(steps) != len(res.path) {
		return false
	}
	for i, seg := range res.path {
		if seg.Param == "" && seg.Literal != steps[i] || seg.Param != "" && steps[i] == "" {
			return false
		}
	}
	return true
}

// located reads the parameters out of the steps of a path that it covers.
func (res *resource) located(steps []string) Located {
	l := Located{Resource: res.Resource, Params: map[string]string{}}
	var values []param.Value
	for i, seg := range res.path {
		if seg.Param == "" {
			continue
		}
		p := res.params[len(values)]
		v, err := parseParam(p, []byte(steps[i]), "path", -1)
		if refused, isProblem := errors.AsType[*problem](err); isProblem {
			return Located{Resource: res.Resource, Status: refused.status, Detail: refused.detail}
		}
		values, l.Params[p.Name] = append(values, v), v.Segment
	}
	l.Key = res.key.Of(values...)
	return l
}

// IsKey tells whether key is one that some record of some resource has.
func (s *Server) IsKey(key string) bool {
	return slices.ContainsFunc(s.resources, func(res *resource) bool { return res.key.Matches(key) })
}

// IsOnlyCopy tells whether key is that of a record without a source: what the
// shared tier has of it is all there is, and invalidating it would lose it.
func (s *Server) IsOnlyCopy(key string) bool {
	return slices.ContainsFunc(s.resources, func(res *resource) bool { return res.Records == nil && res.key.Matches(key) })
}

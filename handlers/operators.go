package handlers

import (
	"errors"
	"slices"
	"strings"

	"hearth/cache"
	"hearth/internal/param"
	"hearth/internal/source"
)

// What operators ask of the routes: they name records by path or by key. A key is
// only taken if some record can have it, so that no request to the admin listener
// reaches into keys of other programs in the same Redis.

// KeyOfPath returns the key of the record that path names, such as /user/1.
func (s *Server) KeyOfPath(path string) (key string, ok bool) {
	segments, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return "", false
	}
	steps := strings.Split(segments, "/")
	for _, res := range s.resources {
		if values, ok := res.match(steps); ok {
			return res.key.Of(values...), true
		}
	}
	return "", false
}

// Located is what a path names.
type Located struct {
	Resource *cache.Resource
	Key      string
	Args     source.Args
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
		l = Located{Resource: res.Resource, Params: map[string]string{}}
		var values []param.Value
		for i, seg := range res.path {
			if seg.Param == "" {
				continue
			}
			p := res.params[len(values)]
			v, err := parseParam(p, []byte(steps[i]), "path", -1)
			if err != nil {
				l.Status, l.Detail = 422, err.Error()
				if refused, isProblem := errors.AsType[*problem](err); isProblem {
					l.Status, l.Detail = refused.status, refused.detail
				}
				return l, true
			}
			values, l.Args = append(values, v), append(l.Args, v.Arg)
			l.Params[p.Name] = v.Segment
		}
		l.Key = res.key.Of(values...)
		return l, true
	}
	return l, false
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

// match reads the parameters out of the steps of a path.
func (res *resource) match(steps []string) ([]param.Value, bool) {
	if len(steps) != len(res.path) {
		return nil, false
	}
	values := make([]param.Value, 0, len(res.params))
	for i, seg := range res.path {
		if seg.Param == "" {
			if seg.Literal != steps[i] {
				return nil, false
			}
			continue
		}
		v, err := parseParam(res.params[len(values)], []byte(steps[i]), "path", -1)
		if err != nil {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
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

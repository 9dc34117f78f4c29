package handlers

import (
	"slices"
	"strings"

	"hearth/internal/param"
)

// What operators ask of the routes: they name records by path or by key. A key is
// only taken if some record can have it, so that no request to the admin listener
// reaches into keys of other programs in the same Redis.

// KeyOfPath finds the key of the record that a GET of path, such as /user/1, is about; false if
// there can be none. Unlike Find it takes no query, and takes characters that a request has to encode.
func (s *Server) KeyOfPath(path string) (key string, ok bool) {
	segments, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return "", false
	}
	if _, shadowed := s.literals[path]; shadowed {
		return "", false // a counter, a document or a many-read lies there, where a parameter would match
	}
	steps := strings.Split(segments, "/")
	for _, res := range s.resources {
		if !res.covers(steps) {
			continue
		}
		if key, ok := res.keyOf(steps); ok { // what one resource refuses another one of the same shape may take
			return key, true
		}
	}
	return "", false
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

// keyOf reads the parameters out of the steps of a path that it covers.
func (res *resource) keyOf(steps []string) (key string, ok bool) {
	var values []param.Value
	for i, seg := range res.path {
		if seg.Param == "" {
			continue
		}
		v, err := parseParam(res.params[len(values)], []byte(steps[i]), "path", -1)
		if err != nil {
			return "", false
		}
		values = append(values, v)
	}
	return res.key.Of(values...), true
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

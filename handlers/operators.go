package handlers

import (
	"slices"
	"strings"
)

// What operators ask of the routes: they name records by path or by key.

// KeyOfPath returns the key of the record that path names, such as /user/1.
func (s *Server) KeyOfPath(path string) (key string, ok bool) {
	steps := strings.Split(path, "/")
	for _, res := range s.resources {
		raw, ok := match(res.path, steps)
		if !ok {
			continue
		}
		if key, _, err := res.locate(raw); err == nil {
			return key, true
		}
	}
	return "", false
}

// IsKey tells whether key is one that some record of some resource has.
func (s *Server) IsKey(key string) bool {
	return slices.ContainsFunc(s.resources, func(res *resource) bool { return res.key.Matches(key) })
}

// IsOnlyCopy tells whether key is that of a record without a source: what the
// shared tier has of it is all there is.
func (s *Server) IsOnlyCopy(key string) bool {
	return slices.ContainsFunc(s.resources, func(res *resource) bool { return res.Records == nil && res.key.Matches(key) })
}

package handlers

import (
	"strings"

	"hearth/internal/param"
)

// target is a record's path and key template, for operators who name records
// by either.
type target struct {
	*resource
	path []param.Segment
}

// KeyOfPath returns the key of the record that path names, such as /user/1.
func (s *Server) KeyOfPath(path string) (key string, ok bool) {
	segments, rooted := strings.CutPrefix(path, "/")
	if !rooted {
		return "", false
	}
	steps := strings.Split(segments, "/")
	for _, t := range s.targets {
		if values, ok := t.match(steps); ok {
			return t.key.Of(values...), true
		}
	}
	return "", false
}

// match reads the parameters out of the steps of a path.
func (t target) match(steps []string) ([]param.Value, bool) {
	if len(steps) != len(t.path) {
		return nil, false
	}
	values := make([]param.Value, 0, len(t.params))
	for i, seg := range t.path {
		if seg.Param == "" {
			if seg.Literal != steps[i] {
				return nil, false
			}
			continue
		}
		text, ok := param.Decode([]byte(steps[i]), false)
		if !ok {
			return nil, false
		}
		v, reason := param.Param{Name: seg.Param, Type: seg.Type}.Parse(text)
		if reason != "" {
			return nil, false
		}
		values = append(values, v)
	}
	return values, true
}

// IsKey tells whether key is one that some record of some resource has.
func (s *Server) IsKey(key string) bool {
	for _, t := range s.targets {
		if t.key.Matches(key) {
			return true
		}
	}
	return false
}

// IsOnlyCopy tells whether key is that of a record without a source: what the
// shared tier has of it is all there is.
func (s *Server) IsOnlyCopy(key string) bool {
	for _, t := range s.targets {
		if t.Records == nil && t.key.Matches(key) {
			return true
		}
	}
	return false
}

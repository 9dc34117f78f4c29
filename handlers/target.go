package handlers

import (
	"strings"
)

// target is a record's path and key template, for operators who name records
// by either.
type target struct {
	*record
	path []Segment
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
			return t.key.all(values), true
		}
	}
	return "", false
}

// match reads the parameters out of the steps of a path.
func (t target) match(steps []string) ([]value, bool) {
	if len(steps) != len(t.path) {
		return nil, false
	}
	values := make([]value, 0, len(t.params))
	for i, seg := range t.path {
		if seg.Param == "" {
			if seg.Literal != steps[i] {
				return nil, false
			}
			continue
		}
		text, ok := decode([]byte(steps[i]), false)
		if !ok {
			return nil, false
		}
		v, reason := parameter{seg.Param, seg.Kind}.parse(text)
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
		if t.key.matches(key, t.params) {
			return true
		}
	}
	return false
}

// matches tells whether the template can yield key. Between two parameters
// stands a literal that no value of the left one contains, so the first place
// where it occurs is the only one.
func (t keyTemplate) matches(key string, params []parameter) bool {
	for i, part := range t {
		if part.param < 0 {
			var ok bool
			if key, ok = strings.CutPrefix(key, part.literal); !ok {
				return false
			}
			continue
		}
		segment := key
		if i+1 < len(t) {
			end := strings.Index(key[min(1, len(key)):], t[i+1].literal)
			if end < 0 {
				return false
			}
			segment = key[:end+1]
		}
		if !params[part.param].isSegment(segment) {
			return false
		}
		key = key[len(segment):]
	}
	return key == ""
}

// isSegment tells whether segment is the canonical encoding of some value.
func (p parameter) isSegment(segment string) bool {
	text, ok := decode([]byte(segment), false)
	if !ok {
		return false
	}
	v, reason := p.parse(text)
	return reason == "" && v.segment == segment
}

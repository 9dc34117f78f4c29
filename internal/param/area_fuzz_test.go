package param_test

import (
	"strings"
	"testing"

	"hearth/internal/param"
)

// Area.Covers compares segments as a split at slashes does.
func FuzzArea(f *testing.F) {
	f.Add("/user/{id}", "/user/1", true)
	f.Add("/user", "/user/1/2", true)
	f.Add("/", "/", false)
	f.Add("", "//", true)
	f.Add("/a/b", "/a", false)
	f.Fuzz(func(t *testing.T, template, path string, below bool) {
		p := param.Area{Below: below}
		for _, part := range strings.Split(strings.TrimPrefix(template, "/"), "/") {
			switch {
			case part == "":
			case part[0] == '{':
				p.Segments = append(p.Segments, param.Segment{Param: part})
			default:
				p.Segments = append(p.Segments, param.Segment{Literal: part})
			}
		}
		if got, want := p.Covers([]byte(path)), modelMatches(p, path); got != want {
			t.Errorf("%+v and %q: got %v, want %v", p, path, got, want)
		}
	})
}

func modelMatches(p param.Area, path string) bool {
	if len(p.Segments) == 0 {
		return p.Below || path == "" || path == "/"
	}
	if !strings.HasPrefix(path, "/") {
		return false
	}
	steps := strings.Split(path[1:], "/")
	if len(steps) < len(p.Segments) || len(steps) > len(p.Segments) && !p.Below {
		return false
	}
	for i, seg := range p.Segments {
		// An empty last step is a slash at the end, which names nothing.
		if seg.Param == "" && seg.Literal != steps[i] || steps[i] == "" && i == len(steps)-1 {
			return false
		}
	}
	return true
}

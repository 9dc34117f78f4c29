package param

import (
	"bytes"
	"strings"
)

// Area is the paths that a limit covers: a template, in which a parameter
// stands for any segment, or with Below that and all paths below it.
type Area struct {
	// Segments are empty for the root.
	Segments []Segment
	// Below adds all paths below.
	Below bool
}

// ParseArea parses the template of a route, or the beginning of paths and /*,
// which covers that beginning, too. It says what is wrong with another text.
func ParseArea(text string) (a Area, wrong string) {
	text, a.Below = strings.CutSuffix(text, "/*")
	if text == "/" || text == "" && a.Below {
		return a, ""
	}
	p, wrong := ParsePath(text)
	a.Segments = p.Segments
	return a, wrong
}

// Covers tells whether path, as it came, lies in the area. It compares segment
// by segment.
func (a *Area) Covers(path []byte) bool {
	for _, seg := range a.Segments {
		if len(path) < 2 || path[0] != '/' {
			return false
		}
		path = path[1:]
		end := bytes.IndexByte(path, '/')
		if end < 0 {
			end = len(path)
		}
		if seg.Param == "" && seg.Literal != string(path[:end]) {
			return false
		}
		path = path[end:]
	}
	return a.Below || len(path) == 0 || len(a.Segments) == 0 && string(path) == "/"
}

// Meets tells whether some request for a path template may lie in the area.
func (a *Area) Meets(path []Segment) bool {
	if len(a.Segments) > len(path) || len(a.Segments) < len(path) && !a.Below {
		return false
	}
	for i, seg := range a.Segments {
		if seg.Param == "" && path[i].Param == "" && seg.Literal != path[i].Literal {
			return false
		}
	}
	return true
}

// String is the area as it is written in the configuration, without types.
func (a *Area) String() string {
	text := Path{Segments: a.Segments}.Plain()
	switch {
	case a.Below:
		return text + "/*"
	case text == "":
		return "/"
	}
	return text
}

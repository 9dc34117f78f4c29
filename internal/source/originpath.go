package source

import (
	"errors"
	"fmt"
	"strings"

	"hearth/internal/param"
)

// What an origin makes of a path is its own affair: many decode %2F before they
// take it apart, some take backslashes for slashes, decode twice, or cut off what
// follows a semicolon. So a value that is encoded well may still lead out of the
// place that the configuration has given it. A value is refused if any such
// reading of the finished path would have more steps than the template, or
// a step that names no record: nothing, dots alone.

// step is a segment of an origin's path that has placeholders: its literals,
// decoded, and the parameters between them.
type step struct {
	literals []string // one more than params
	params   []int
}

// steps takes the path of the template apart. It fails where a literal would
// finish what a value begins, or the other way round.
func (o *Origin) steps() (all []step, err error) {
	_, rest, _ := strings.Cut(o.cfg.URL, "://")
	path, _, _ := strings.Cut(rest[len(hostOf(rest)):], "?")
	for text := range strings.SplitSeq(path, "/") {
		s := step{}
		start := 0
		literal := func(part string) error {
			if strings.Contains(part, `\`) {
				return errors.New(`a backslash is a slash to some servers; write / or %5C`)
			}
			decoded, ok := param.Decode([]byte(part), false)
			if !ok {
				return errors.New("the path has a percent sign without two hexadecimal digits; write %25 for the sign itself")
			}
			s.literals = append(s.literals, decoded)
			return nil
		}
		for i := 0; i < len(text); i++ {
			h := hole(text[i:])
			if h == "" {
				continue
			}
			if err := literal(text[start:i]); err != nil {
				return nil, err
			}
			names, _ := parts(h)
			s.params = append(s.params, paramIndex(o.cfg.Params, names[0]))
			start = i + len(h)
			i = start - 1
		}
		if err := literal(text[start:]); err != nil {
			return nil, err
		}
		switch decoded := s.literals[0]; {
		case len(s.params) > 0:
			all = append(all, s)
		case decoded == "." || decoded == "..":
			return nil, fmt.Errorf("the path has the segment %q, which servers resolve; write the path that it leads to", text)
		}
	}
	return all, nil
}

// Refuses names the parameter whose value could lead an origin elsewhere than
// the configuration says, or returns "". It asks nobody.
func (o *Origin) Refuses(args Args) string {
	for _, s := range o.path {
		text := s.literals[0]
		for i, p := range s.params {
			value := fmt.Sprint(args[p])
			if strays(value) {
				return o.cfg.Params[p].Name
			}
			text += value + s.literals[i+1]
		}
		if strays(text) || isNoName(text) {
			return o.cfg.Params[s.params[0]].Name
		}
	}
	return ""
}

// strays tells whether text, however often it is decoded, has what ends a step
// of a path, or a byte that no path has.
func strays(text string) bool {
	for {
		for i := range len(text) {
			if c := text[i]; c == '/' || c == '\\' || c < ' ' || c == 0x7f {
				return true
			}
		}
		next := param.Unescape(text)
		if next == text {
			return false
		}
		text = next
	}
}

// isNoName tells whether a step, however often it is decoded, is empty or
// consists of dots, with what servers leave out: blanks at the end, parameters
// behind a semicolon.
func isNoName(text string) bool {
	for {
		name, _, _ := strings.Cut(text, ";")
		if strings.Trim(name, ". ") == "" {
			return true
		}
		next := param.Unescape(text)
		if next == text {
			return false
		}
		text = next
	}
}

package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one mistake of a configuration and what to write instead. Its text
// never shows the value of a secret.
type Fault struct {
	File     string // as given to Load
	Line     int    // from 1; 0 means the file as a whole
	Variable string // the environment variable that carries the mistake; "" means the file
	Key      string // dotted, without the index of an array: "resource.path"
	Text     string
}

// String is file:line: key: text, or variable: text.
func (f Fault) String() string {
	if f.Variable != "" {
		return f.Variable + ": " + f.Text
	}
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	if f.Key != "" {
		b.WriteString(": " + f.Key)
	}
	b.WriteString(": " + f.Text)
	return b.String()
}

// Faults is the error of Load: everything that is wrong, by line, the
// environment's mistakes last. It is never empty.
type Faults struct{ List []Fault }

// Error prints one fault per line.
func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, fault := range f.List {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// NewFaults sorts a list that is not empty and drops repetitions: one mistake may be
// met twice, for instance as a resource's and as its batch's.
func NewFaults(list []Fault) *Faults {
	slices.SortStableFunc(list, func(a, b Fault) int {
		return cmp.Or(
			cmp.Compare(a.Variable, b.Variable), // "" sorts first: the file
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Text, b.Text),
		)
	})
	return &Faults{List: slices.Compact(list)}
}

// place is where a key was set.
type place struct {
	line     int
	variable string // "" = the file
}

// places tells where each key was set, so that a fault in what it means can say
// where to mend it. Keys are dotted, with indices: "resource.[2].path".
type places struct {
	file string
	set  map[string]place
}

// has tells whether a key was given, in the file or by the environment.
func (p places) has(key string) bool {
	_, found := p.set[key]
	return found
}

// around is the place of a key, or of the table that lacks it.
func (p places) around(key string) place {
	// Upwards from the key: a table that was never written has no place
	// either.
	for key != "" && !p.has(key) {
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return p.set[key]
}

// fault is what is wrong at a place.
func (p places) fault(at place, key, text string) Fault {
	if at.variable != "" {
		return Fault{Variable: at.variable, Key: shown(key), Text: text}
	}
	return Fault{File: p.file, Line: at.line, Key: shown(key), Text: text}
}

// where says where a key was set, for a fault of another that clashes with it.
func (p places) where(key string) string {
	switch at := p.set[key]; {
	case at.variable != "":
		return at.variable
	case at.line > 0:
		return fmt.Sprintf("line %d", at.line)
	}
	return "the default"
}

// Fault is a fault of what key means, at the place where it was set, or at the
// table that lacks it. Items of lists are written as in resource.[2].path.
func (c *Config) Fault(key, format string, args ...any) Fault {
	return c.places.fault(c.places.around(key), key, fmt.Sprintf(format, args...))
}

// Sound tells whether no fault was found in key and all below it: only then does
// it mean anything.
func (c *Config) Sound(key string) bool {
	return !slices.ContainsFunc(c.faulty, func(faulty string) bool {
		return faulty == key || strings.HasPrefix(faulty, key+".") || strings.HasPrefix(key, faulty+".")
	})
}

// Overrides says which keys the environment has set, and what it has replaced.
func (c *Config) Overrides() (all []string) {
	for key, p := range c.places.set {
		if p.variable == "" {
			continue
		}
		text := p.variable + " sets " + shown(key)
		if p.line > 0 {
			text += fmt.Sprintf(" in place of %s:%d", c.places.file, p.line)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// indexed is the key of an item, from 0.
func indexed(key string, i int) string { return fmt.Sprintf("%s.[%d]", key, i) }

// shown is a key without the indices of lists, as the file writes it. Names
// that need quotes get them, so that no key can garble a fault.
func shown(key string) string {
	if key == "" {
		return ""
	}
	var kept []string
	for p := range strings.SplitSeq(key, ".") {
		switch {
		case strings.HasPrefix(p, "[") && strings.HasSuffix(p, "]"):
		case p == "", strings.ContainsFunc(p, func(r rune) bool { return !nameRune(r) }):
			kept = append(kept, quote(p))
		default:
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ".")
}

// nameRune tells which characters a key has without quotes.
func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

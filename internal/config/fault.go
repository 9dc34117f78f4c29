package config

import (
	"cmp"
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

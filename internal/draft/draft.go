// Package draft writes a first configuration for what somebody has already: the tables of a
// database, or the paths of an HTTP service.
//
// A draft is a text for people. It says beside each statement what was found and decided, and
// leaves out, with the reason, what it cannot be sure of: a resource that is missing is seen at
// once, and one that serves the wrong row, or a password, is not.
package draft

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/config"
	"hearth/internal/param"
)

// Options say what a draft is for.
type Options struct {
	// From is what is drafted for: the URL of a database as database.url has it, the URL of an
	// OpenAPI document, its file, or the URL of one record with {parameters}.
	From string
	// Names are the tables, or the first segments of paths, to serve; none: all of them.
	Names []string
	// Redis is the URL of the shared tier; "": the embedded file.
	Redis string
	// Feed has the change feed of the database on.
	Feed bool

	databaseFile, redisFile string // that hold the URLs; "": they stand in the configuration
}

// Draft is a configuration that is written, and not yet checked.
type Draft struct {
	Text      []byte     // of config.toml
	Files     []File     // beside it, which only the server may read
	Resources []Resource // that it serves, at least one
	Left      []string   // what it does not, each with the reason
}

// File is one with a secret.
type File struct{ Name, Text string }

// Resource is one of a draft.
type Resource struct {
	Name    string
	Path    string // its template
	Example string // the path of a record that exists; "" if none is known
	Puts    bool   // PUT is served
	Deletes bool   // DELETE is
}

// Methods are those that it serves, for people.
func (r Resource) Methods() string {
	methods := "GET"
	if r.Puts {
		methods += ", PUT"
	}
	if r.Deletes {
		methods += ", DELETE"
	}
	return methods
}

// MaxResources bounds a draft: more are for who knows them to choose.
const MaxResources = 100

// beyond notes, once, what a draft has no room for, and how to choose.
func (d *Draft) beyond(what, choice string, names []string) {
	if len(names) == 0 {
		return
	}
	all := line(names[0])
	if len(names) > 1 {
		all += fmt.Sprintf(" and %d others", len(names)-1)
	}
	d.Left = append(d.Left, fmt.Sprintf("%s, for a draft has at most %d %s; name %s with -tables", all, MaxResources, what, choice))
}

var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// names gives out names of resources, each one once.
type names map[string]bool

// of makes a name by the rules of resource.name out of the words of something.
func (n names) of(words ...string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.Join(words, "_")) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	name := strings.Trim(b.String(), "_")
	// The name begins the path and the key, too, and some of those are the server's own.
	if name == "" || name[0] >= '0' && name[0] <= '9' || name+":" == param.Reserved || slices.Contains(config.BuiltIn(), "/"+name) {
		name = "r_" + name
	}
	unique := name
	for i := 2; n[unique]; i++ {
		unique = name + "_" + strconv.Itoa(i)
	}
	n[unique] = true
	return unique
}

// parameterNames makes names of path parameters out of columns, one for each.
func parameterNames(columns []string) (made []string) {
	for i, c := range columns {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return '_'
		}, c)
		if strings.Trim(name, "_") == "" || name[0] >= '0' && name[0] <= '9' || slices.Contains(made, name) || name == "body" {
			name = fmt.Sprintf("key_%d", i+1)
		}
		made = append(made, name)
	}
	return made
}

// basic is text as a basic string of TOML.
func basic(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// comment writes text as lines of comment of at most about 90 columns, each begun by indent.
// What would end the comment, or hide in it, is written as a space.
func comment(b *strings.Builder, indent, text string) {
	line := 0
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 }) {
		if line > 0 && line+1+len(word) > 90-len(indent) {
			b.WriteByte('\n')
			line = 0
		}
		if line == 0 {
			b.WriteString("# " + indent)
		} else {
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	if line > 0 {
		b.WriteByte('\n')
	}
}

// rule parts the sections of a configuration.
const rule = "\n# ---------------------------------------------------------------------------\n"

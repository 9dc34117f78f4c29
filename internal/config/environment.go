package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// variablePrefix is what the names of all overriding variables begin with.
const variablePrefix = "HEARTH_"

// VariableOf names the environment variable that overrides a key.
func VariableOf(key string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// lookup returns the value of a variable, the last one if it occurs more than
// once, or "".
func lookup(env []string, name string) string {
	found := ""
	for _, entry := range env {
		if n, v, ok := strings.Cut(entry, "="); ok && n == name {
			found = v
		}
	}
	return found
}

// override lets the environment set scalars of the sections. Lists of tables
// have no names that a variable could address.
func (l *loader) override(root reflect.Value, env []string) {
	keys, fields, scalars := map[string]string{}, map[string]field{}, []string{}
	// Two keys never have one variable: a test holds the schema to it.
	walk(root, "", func(key string, f field) {
		if f.inItem || f.isTable() || f.isTables() {
			return
		}
		name := VariableOf(key)
		keys[name], fields[name] = key, f
		if !f.isList() {
			scalars = append(scalars, name)
		}
	})
	values := map[string]string{} // of several the last
	for _, entry := range env {
		if name, v, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, variablePrefix) {
			values[name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) { // faults and warnings read the same at every start
		f, known := fields[name]
		switch key := keys[name]; {
		case !known:
			hint := ""
			if near := Nearest(name, scalars); near != "" {
				hint = "; did you mean " + near + "?"
			}
			l.warn("the environment variable %s overrides no key and is ignored%s", shown(name), hint)
		case f.isList():
			l.warn("the environment variable %s is ignored, because lists are not open to overrides; set %s in %s", name, key, l.places.file)
		default:
			l.places.set[key] = place{variable: name, line: l.places.set[key].line}
			l.readValue(f, &node{typ: variableNode, text: values[name]}, key)
		}
	}
}

// warn records what does not keep the server from starting.
func (l *loader) warn(format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, fmt.Sprintf(format, args...))
}

// warnAt is a warning about what a key is set to.
func (l *loader) warnAt(key, format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, l.places.fault(l.places.around(key), key, fmt.Sprintf(format, args...)).String())
}

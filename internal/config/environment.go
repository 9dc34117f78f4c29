package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prefix is what the names of all overriding variables begin with.
const prefix = "HEARTH_"

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// variable names the environment variable that overrides a key.
func variable(key string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
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

// override lets the environment set scalars of the sections. Arrays of tables
// have no names that a variable could address.
func (l *loader) override(root table, env []string) {
	keys, fields := map[string]string{}, map[string]field{}
	var walk func(t table, at string)
	walk = func(t table, at string) {
		for _, f := range t.fields {
			name := variable(dotted(at, f.name))
			keys[name], fields[name] = dotted(at, f.name), f
		}
		for _, sub := range t.tables {
			walk(sub, dotted(at, sub.name))
		}
	}
	walk(root, "")

	values, names, scalars := map[string]string{}, []string{}, []string{}
	for _, entry := range env {
		if name, v, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
			if _, again := values[name]; !again {
				names = append(names, name)
			}
			values[name] = v
		}
	}
	for name, f := range fields {
		if !f.isList {
			scalars = append(scalars, name)
		}
	}
	slices.Sort(names) // faults and warnings read the same at every start
	for _, name := range names {
		f, known := fields[name]
		switch {
		case !known:
			l.warn("the environment variable %s overrides no key and is ignored%s", shownName(name), meant(name, scalars))
		case f.isList:
			l.warn("the environment variable %s is ignored, because lists are not open to overrides; set %s in %s", name, keys[name], l.file)
		default:
			l.places[keys[name]] = place{variable: name, line: l.places[keys[name]].line}
			f.read(&node{kind: variableNode, text: values[name]}, l.complain(keys[name]))
		}
	}
}

func (l *loader) warn(format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, fmt.Sprintf(format, args...))
}

// warnAt is a warning about what a key is set to.
func (l *loader) warnAt(key, format string, args ...any) {
	l.config.Warnings = append(l.config.Warnings, faultAt(l.file, l.places, key, fmt.Sprintf(format, args...)).String())
}

func meant(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// shownName quotes a variable's name only where it is no ordinary one.
func shownName(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }) {
		return quote(name)
	}
	return name
}

// secretFile is a key that names the file which holds a secret.
type secretFile struct {
	value string // key that takes the secret itself; "" = there is none
	key   string
	path  string
	ok    check
	dst   func() *Secret
}

// secretFile announces such a key and returns where to read its path into.
func (l *loader) secretFile(value, key string, ok check, dst func() *Secret) *string {
	s := &secretFile{value: value, key: key, ok: ok, dst: dst}
	l.secrets = append(l.secrets, s)
	return &s.path
}

// readSecrets fills in the secrets that are kept in files. Relative paths begin
// at the directory of systemd's credentials, else at the configuration file's.
func (l *loader) readSecrets(credentials string) {
	base := l.dir
	if credentials != "" {
		base = credentials
	}
	for _, s := range l.secrets {
		if s.path == "" {
			continue
		}
		if s.value != "" && l.set(s.value) {
			mine, other := l.places[s.key].variable != "", l.places[s.value].variable != ""
			if other && !mine {
				continue // the override replaces both of the file's keys
			}
			if mine == other && (!s.dst().Empty() || l.refused[s.value]) {
				l.fault(s.key, "is set together with %s (%s); keep one of the two", shown(s.value), l.where(s.value))
				continue
			}
		}
		path := s.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		content, err := readSecret(path)
		if err != nil {
			l.refused[s.value] = true // it was given, only not well
			l.fault(s.key, "reading %q: %v", path, err)
			continue
		}
		if wrong := s.ok(content); wrong != "" {
			l.refused[s.value] = true
			l.fault(s.key, "the content of %q %s", path, wrong)
			continue
		}
		*s.dst() = NewSecret(content)
	}
}

// readSecret returns the content of a file without the newline at its end.
func readSecret(path string) (string, error) {
	// Before opening, because opening a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w; create the file or correct the path", cause(err))
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file; name one that holds nothing but the secret")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w; make it readable to the server's user", cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w; make it readable to the server's user", cause(err))
	case len(data) > maxSecret:
		return "", fmt.Errorf("it is longer than %s; name a file that holds nothing but the secret", shortSize(maxSecret))
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" {
		return "", errors.New("it is empty; write the secret into it")
	}
	return secret, nil
}

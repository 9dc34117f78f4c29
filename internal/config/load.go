package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds the configuration file, so that naming a device by mistake
// ends in a fault and not in exhausted memory.
const maxFile = 4 << 20

// place is where a key was set.
type place struct {
	line     int
	variable string // "" = the file
}

// loader carries one Load. It is used by one goroutine.
type loader struct {
	file    string // as the caller named it
	dir     string // what relative paths begin at
	config  *Config
	faults  []Fault
	places  map[string]place // by dotted key with indices: "resource.[2].path"
	refused map[string]bool  // keys whose value was no good, so that nothing follows from it
	secrets []*secretFile
}

func newLoader(file, dir string) *loader {
	return &loader{
		file:    file,
		dir:     dir,
		config:  defaults(),
		places:  map[string]place{},
		refused: map[string]bool{},
	}
}

// Load reads the configuration file at path and the overrides in env, which has
// the form of os.Environ. It returns either a complete, valid Config or a
// *Faults that lists everything wrong at once. It opens nothing but the file
// itself and the files that hold secrets: whether a database or a certificate
// is there is for their users to find out.
func Load(path string, env []string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, newFaults([]Fault{{File: path, Text: err.Error()}})
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, newFaults([]Fault{{File: path, Text: fmt.Sprintf("finding its directory: %v; name the file by an absolute path", err)}})
	}
	l := newLoader(path, dir)
	doc := parse(path, data)
	l.faults = doc.faults
	root := l.schema()
	l.read(root, doc.root, "")
	if !doc.broken {
		l.faults = doc.verify(l.faults)
	}
	l.override(root, env)
	l.readSecrets(lookup(env, "CREDENTIALS_DIRECTORY"))
	l.resolvePaths()
	if !doc.broken { // else keys may be lost, and contradictions mere consequences
		l.validate()
	}
	if len(l.faults) > 0 {
		return nil, newFaults(l.faults)
	}
	return l.config, nil
}

// readFile returns the content of the configuration file.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, errors.New("no configuration file is named; name one with -config FILE")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file; name yours with -config FILE, or copy the config.toml that comes with hearth, which explains every key")
	}
	if err != nil {
		return nil, fmt.Errorf("opening it: %w; make it readable or name another with -config FILE", cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading it: %w; name a regular file with -config FILE", cause(err))
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is longer than %s; name a configuration file with -config FILE", shortSize(maxFile))
	}
	return data, nil
}

// cause strips operation and path from a file error: the fault names the path.
func cause(err error) error {
	var wrong *fs.PathError
	if errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

// read reads the node of a table, whose own key is at.
func (l *loader) read(t table, n *node, at string) {
	l.places[at] = place{line: n.line}
	for _, name := range n.names {
		child := n.table[name]
		key := dotted(at, name)
		f, sub, list := t.find(name)
		switch {
		case f != nil:
			l.places[key] = place{line: child.line}
			f.read(child, l.complain(key))
		case sub != nil:
			l.readTable(*sub, child, key)
		case list != nil:
			l.readList(*list, child, key)
		default:
			l.unknown(t, child, at, name)
		}
	}
}

func (l *loader) readTable(t table, n *node, key string) {
	if n.kind == tableNode {
		l.read(t, n, key)
		return
	}
	l.places[key] = place{line: n.line}
	if n.origin == doubled {
		l.complain(key)(n, "there is only one; write [%s], with one pair of brackets", shown(key))
		return
	}
	l.complain(key)(n, "%s is no table; write [%s] and its keys below", describe(n), shown(key))
}

func (l *loader) readList(list tableList, n *node, key string) {
	l.places[key] = place{line: n.line}
	items := n.items
	if n.kind != listNode {
		l.complain(key)(n, "there may be several; write [[%s]], with two pairs of brackets", shown(key))
		items = []*node{n}
	}
	for i, item := range items {
		if item.kind != tableNode {
			if n.kind == listNode {
				l.complain(key)(item, "%s is no table; write [[%s]] and its keys below", describe(item), shown(key))
			}
			continue
		}
		at := fmt.Sprintf("%s.[%d]", key, i)
		t, done := list.item(at)
		l.read(t, item, at)
		done()
	}
}

// unknown reports a key that is none, and what it may have meant.
func (l *loader) unknown(t table, n *node, at, name string) {
	key := dotted(at, name)
	l.places[key] = place{line: n.line}
	bad := l.complain(key)
	if other := elsewhere(name); other != "" {
		bad(n, "no such key here; did you mean %s?", other)
	} else if meant := nearest(name, t.names()); meant != "" {
		bad(n, "no such key; did you mean %s?", shown(dotted(at, meant)))
	} else {
		bad(n, "no such key; remove it or take one of %s", strings.Join(t.names(), ", "))
	}
}

// elsewhere finds the key of that very name in another table.
func elsewhere(name string) string {
	for _, key := range allKeys() {
		if strings.HasSuffix(key, "."+name) {
			return key
		}
	}
	return ""
}

// allKeys lists every key there is, dotted, in the order of the schema.
func allKeys() []string {
	l := newLoader("", "")
	var keys []string
	var walk func(t table, at string)
	walk = func(t table, at string) {
		for _, f := range t.fields {
			keys = append(keys, dotted(at, f.name))
		}
		for _, sub := range t.tables {
			walk(sub, dotted(at, sub.name))
		}
		for _, list := range t.lists {
			item, _ := list.item(list.name)
			walk(item, dotted(at, list.name))
		}
	}
	walk(l.schema(), "")
	return keys
}

func dotted(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// shown is a key without the indices of arrays, as the file writes it. Names
// that need quotes get them, so that no key can garble a fault.
func shown(key string) string {
	if key == "" {
		return ""
	}
	parts := strings.Split(key, ".")
	kept := parts[:0]
	for _, p := range parts {
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

// set tells whether a key was given, in the file or by the environment.
func (l *loader) set(key string) bool {
	_, found := l.places[key]
	return found
}

// complain returns the recorder of faults in one key's value.
func (l *loader) complain(key string) complain {
	return func(n *node, format string, args ...any) {
		l.refused[key] = true
		l.record(place{line: n.line, variable: l.places[key].variable}, key, fmt.Sprintf(format, args...))
	}
}

// fault records what is wrong with a key, or with its absence: then it points
// at the table that lacks it.
func (l *loader) fault(key, format string, args ...any) {
	at := key
	for at != "" && !l.set(at) {
		at = at[:max(0, strings.LastIndexByte(at, '.'))]
	}
	l.record(l.places[at], key, fmt.Sprintf(format, args...))
}

func (l *loader) record(p place, key, text string) {
	f := Fault{File: l.file, Line: p.line, Key: shown(key), Text: text}
	if p.variable != "" {
		f.File, f.Line, f.Variable = "", 0, p.variable
	}
	l.faults = append(l.faults, f)
}

// where says where a key was set, for a fault of another that clashes with it.
func (l *loader) where(key string) string {
	p := l.places[key]
	switch {
	case p.variable != "":
		return p.variable
	case p.line > 0:
		return fmt.Sprintf("line %d", p.line)
	}
	return "the default"
}

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
	faulty  []string         // keys with faults
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
	l, err := load(path, env)
	if err != nil {
		return nil, err
	}
	if len(l.faults) > 0 {
		return nil, newFaults(l.faults)
	}
	return l.config, nil
}

// load reads what there is. Its error is about the file as a whole.
func load(path string, env []string) (*loader, *Faults) {
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
	} else {
		l.faulty = append(l.faulty, "") // all of it
	}
	l.config.origins = origins{file: path, places: l.places, faulty: l.faulty}
	return l, nil
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
			for i, item := range child.items {
				l.places[fmt.Sprintf("%s.[%d]", key, i)] = place{line: item.line}
			}
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
	switch meant, here := l.meant(t, at, name); {
	case here:
		bad(n, "no such key; did you mean %s?", meant)
	case meant != "":
		bad(n, "no such key here; did you mean %s?", meant)
	default:
		bad(n, "no such key; remove it or take one of %s", strings.Join(t.names(), ", "))
	}
}

// meant finds what an unknown key of a table most likely meant: a key of the same
// table but for its spelling, a key of that very name in another table, one of
// the same table that is near, one in another table but for its spelling.
func (l *loader) meant(t table, at, name string) (key string, here bool) {
	if same := alike(name, t.names()); same != "" {
		return shown(dotted(at, same)), true
	}
	if other := elsewhere(name, at, func(a, b string) bool { return a == b }); other != "" {
		return other, false
	}
	if near := nearest(name, t.names()); near != "" {
		return shown(dotted(at, near)), true
	}
	return elsewhere(name, at, func(a, b string) bool {
		return folded(a) == folded(b) || len(name) > 3 && distance(strings.ToLower(a), strings.ToLower(b)) == 1
	}), false
}

// elsewhere finds the key in another table whose last part is like name; those
// around the table at, and below it, come first.
func elsewhere(name, at string, like func(a, b string) bool) (found string) {
	section, _, _ := strings.Cut(shown(at), ".")
	for _, key := range allNames(true) {
		if !like(key[strings.LastIndexByte(key, '.')+1:], name) {
			continue
		}
		if found == "" {
			found = key
		}
		if section != "" && strings.HasPrefix(key, section+".") {
			return key
		}
	}
	return found
}

// allKeys lists every key there is, dotted, in the order of the schema.
func allKeys() []string { return allNames(false) }

// allNames is allKeys, with the tables that stand within others if asked for.
func allNames(tables bool) []string {
	l := newLoader("", "")
	var keys []string
	var walk func(t table, at string)
	walk = func(t table, at string) {
		for _, f := range t.fields {
			keys = append(keys, dotted(at, f.name))
		}
		for _, sub := range t.tables {
			if tables && at != "" {
				keys = append(keys, dotted(at, sub.name))
			}
			walk(sub, dotted(at, sub.name))
		}
		for _, list := range t.lists {
			if tables && at != "" {
				keys = append(keys, dotted(at, list.name))
			}
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
	l.faulty = append(l.faulty, key)
	l.faults = append(l.faults, faultAt(l.file, l.places, key, fmt.Sprintf(format, args...)))
}

func (l *loader) record(p place, key, text string) {
	l.faulty = append(l.faulty, key)
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

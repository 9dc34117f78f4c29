package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"hearth/internal/param"
)

// loader carries one Load. It is used by one goroutine.
type loader struct {
	dir     string // what relative paths begin at
	config  *Config
	faults  []Fault
	places  places
	refused map[string]bool // keys whose value was no good, so that nothing follows from it
	faulty  []string        // keys with faults
	files   map[string]secretFile
}

// read reads the node of a table, whose own key is at.
func (l *loader) read(table reflect.Value, n *node, at string) {
	l.places.set[at] = place{line: n.line}
	// Keys are read in the order of the file. What they mean together is judged
	// when all are there.
	fields := fieldsOf(table)
	for _, name := range n.names {
		child, key := n.table[name], dotted(at, name)
		l.places.set[key] = place{line: child.line}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			l.unknown(table, child, at, name)
		case fields[i].isTable():
			l.readTable(fields[i].value, child, key)
		case fields[i].word != "" && child.isText():
			l.readWord(fields[i], child, key)
		case fields[i].isTables():
			l.readTables(fields[i].value, child, key)
		default:
			for j, item := range child.items {
				l.places.set[indexed(key, j)] = place{line: item.line}
			}
			l.readValue(fields[i], child, key)
		}
	}
}

// readTable reads a table that may be written once.
func (l *loader) readTable(table reflect.Value, n *node, key string) {
	switch {
	case n.typ == tableNode:
		l.read(table, n, key)
	case n.form == doubled:
		l.complain(key)(n, "there is only one; write [%s], with one pair of brackets", shown(key))
	default:
		l.complain(key)(n, "%s is no table; write [%s] and its keys below", n, shown(key))
	}
}

// readTables reads a list of tables. One in single brackets is read as its only
// item, so that its keys are checked all the same.
func (l *loader) readTables(list reflect.Value, n *node, key string) {
	items := n.items
	if n.typ != listNode {
		l.complain(key)(n, "there may be several; write [[%s]], with two pairs of brackets", shown(key))
		items = []*node{n}
	}
	var tables []*node
	for _, item := range items {
		if item.typ == tableNode {
			tables = append(tables, item)
		} else if n.typ == listNode {
			l.complain(key)(item, "%s is no table; write [[%s]] and its keys below", item, shown(key))
		}
	}
	// Made at once: what is bound to an item stays bound to it.
	list.Set(reflect.MakeSlice(list.Type(), len(tables), len(tables)))
	// By the index in the Config, so that places and values go together.
	for i, item := range tables {
		setDefaults(list.Index(i))
		l.read(list.Index(i), item, indexed(key, i))
	}
}

// readWord reads the word that stands in the place of a list of tables.
func (l *loader) readWord(f field, n *node, key string) {
	if n.text != f.word {
		l.complain(key)(n, "%s is neither %q nor a table; write [[%s]] and its keys below, or %q", n, f.word, shown(key), f.word)
		return
	}
	f.flag.SetBool(true)
}

// readValue reads a value, or the name of a file that holds a secret.
func (l *loader) readValue(f field, n *node, key string) {
	if !f.isFile {
		f.store(n, l.complain(key))
		return
	}
	var path string
	if !storeText(&path, func(text string) (string, string) { return text, "" }, n, l.complain(key)) {
		return
	}
	// The file is read later: an override may name another one.
	s := secretFile{key: key, path: path, field: f}
	if name := f.tag.Get("key"); name != "" {
		s.sibling = key[:len(key)-len(f.name)] + name
	}
	l.files[key] = s
}

// nameEnvelopes wraps records in the name of their resource where no envelope is set.
func (l *loader) nameEnvelopes() {
	for i := range l.config.Resources {
		if r := &l.config.Resources[i]; !l.places.has(indexed("resource", i) + ".envelope") {
			r.Envelope = r.Name
		}
	}
}

// complain returns the recorder of faults in one key's value.
func (l *loader) complain(key string) complain {
	return func(n *node, format string, args ...any) {
		l.refused[key] = true
		l.faulty = append(l.faulty, key)
		l.faults = append(l.faults, l.places.fault(place{line: n.line, variable: l.places.set[key].variable}, key, fmt.Sprintf(format, args...)))
	}
}

// fault records what is wrong with a key, or with its absence: then it points
// at the table that lacks it.
func (l *loader) fault(key, format string, args ...any) {
	l.faulty = append(l.faulty, key)
	l.faults = append(l.faults, l.places.fault(l.places.around(key), key, fmt.Sprintf(format, args...)))
}

// given tells whether a key was set to a value that was not refused.
func (l *loader) given(key string) bool { return l.places.has(key) && !l.refused[key] }

// unknown reports a key that is none, and what it may have meant.
func (l *loader) unknown(table reflect.Value, n *node, at, name string) {
	bad, names := l.complain(dotted(at, name)), namesOf(table)
	switch meant, here := meantKey(names, at, name); {
	case here:
		bad(n, "no such key; did you mean %s?", meant)
	case meant != "":
		bad(n, "no such key here; did you mean %s?", meant)
	default:
		bad(n, "no such key; remove it or take one of %s", strings.Join(names, ", "))
	}
}

// meantKey finds what an unknown key of a table with these names most likely meant: a
// key of the same table but for its spelling, a key of that very name in another
// table, one of the same table that is near, one in another table but for its
// spelling. Here tells that it is one of the same table.
func meantKey(names []string, at, name string) (key string, here bool) {
	if same := alike(name, names); same != "" {
		return shown(dotted(at, same)), true
	}
	if other := elsewhere(at, func(other string) bool { return other == name }); other != "" {
		return other, false
	}
	if near := Nearest(name, names); near != "" {
		return shown(dotted(at, near)), true
	}
	return elsewhere(at, func(other string) bool {
		return folded(other) == folded(name) || len(name) > 3 && param.Distance(other, name) == 1
	}), false
}

// elsewhere finds a key in another table whose last part is like the one that is
// meant; those around the table at, and below it, come first.
func elsewhere(at string, like func(name string) bool) (found string) {
	section, _, _ := strings.Cut(shown(at), ".")
	// The first one found is the answer unless one of the same section follows.
	for _, key := range allNames(true) {
		if !like(key[strings.LastIndexByte(key, '.')+1:]) {
			continue
		}
		if section != "" && strings.HasPrefix(key, section+".") {
			return key
		}
		found = cmp.Or(found, key)
	}
	return found
}

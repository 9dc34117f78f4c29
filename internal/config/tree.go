package config

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// nodeType tells what a node of the document holds.
type nodeType int

const (
	dateNode nodeType = iota
	tableNode
	listNode
	stringNode
	integerNode
	floatNode
	boolNode
	variableNode // text of an environment variable, which has no type
)

// form tells how a table is written, because TOML lets only some be extended.
type form int

const (
	implied form = iota // on the way to a deeper table or key
	headed              // by its own [header]
	inlined             // {…} or […]: closed
	doubled             // list of [[header]] tables
)

// node is a value of the document and the line it stands in.
type node struct {
	typ   nodeType
	form  form
	line  int
	text  string           // scalars: the decoded string or the literal as written
	names []string         // tables: keys in the order of the file
	table map[string]*node // tables
	items []*node          // lists
}

// newTable returns a table without keys.
func newTable(line int, f form) *node {
	return &node{typ: tableNode, form: f, line: line, table: map[string]*node{}}
}

// put adds a key that is not there yet.
func (n *node) put(name string, child *node) {
	n.names = append(n.names, name)
	n.table[name] = child
}

// isText tells whether a value is a text, or may be one.
func (n *node) isText() bool { return n.typ == stringNode || n.typ == variableNode }

// String shows a value in a fault.
func (n *node) String() string {
	switch n.typ {
	case stringNode, variableNode:
		return quote(n.text)
	case tableNode:
		return "a table"
	case listNode:
		return "a list"
	}
	return n.text
}

// quote shows a text, but not pages of it.
func quote(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		return strconv.Quote(string([]rune(text)[:most])) + "…"
	}
	return strconv.Quote(text)
}

// tree is what the expressions of a document amount to, as they are added.
type tree struct {
	root    *node
	current *node    // table of the latest header
	prefix  []string // its name
	// twice is told of a key or table that is set again.
	twice func(line int, names []string, first *node)
}

// newTree returns an empty tree, whose current table is the root.
func newTree(twice func(line int, names []string, first *node)) tree {
	root := newTable(1, implied)
	return tree{root: root, current: root, twice: twice}
}

// lineFinder tells the line in which a node of the syntax tree begins.
type lineFinder func(n *unstable.Node) int

// add adds one top-level expression.
func (t *tree) add(e *unstable.Node, at lineFinder) {
	names, line := keyOf(e, at)
	switch e.Kind {
	case unstable.Table:
		t.header(names, line)
	case unstable.ArrayTable:
		t.doubleHeader(names, line)
	case unstable.KeyValue:
		t.set(t.current, names, t.prefix, t.value(e.Value(), join(t.prefix, names...), at, line), line)
	}
}

// keyOf returns the names of a dotted key and the line of the first.
func keyOf(e *unstable.Node, at lineFinder) (names []string, line int) {
	for it := e.Key(); it.Next(); {
		if len(names) == 0 {
			line = at(it.Node())
		}
		names = append(names, string(it.Node().Data))
	}
	return names, line
}

// detach enters a table that belongs to nothing, for keys behind a header that
// could not be read.
func (t *tree) detach(line int) { t.current, t.prefix = newTable(line, implied), nil }

// header enters [names]. The keys of a table that has a header already are still
// checked.
func (t *tree) header(names []string, line int) {
	t.prefix = names
	parent, name := t.parent(t.root, names, nil, line)
	old, found := parent.table[name]
	switch {
	case !found:
		t.current = newTable(line, headed)
		parent.put(name, t.current)
	// A table that only stood on the way to another may get its own header.
	case old.typ == tableNode && old.form == implied:
		old.form, old.line = headed, line
		t.current = old
	default:
		t.twice(line, names, old)
		t.current = newTable(line, headed)
		if old.typ == tableNode && old.form == headed {
			t.current = old
		}
	}
}

// doubleHeader enters a new item of [[names]].
func (t *tree) doubleHeader(names []string, line int) {
	t.prefix = names
	parent, name := t.parent(t.root, names, nil, line)
	t.current = newTable(line, headed)
	list, found := parent.table[name]
	switch {
	case !found:
		list = &node{typ: listNode, form: doubled, line: line}
		parent.put(name, list)
	case list.form != doubled:
		t.twice(line, names, list)
		return
	}
	list.items = append(list.items, t.current)
}

// set puts a value under a possibly dotted key of table, whose own name is prefix.
func (t *tree) set(table *node, names, prefix []string, v *node, line int) {
	parent, name := t.parent(table, names, prefix, line)
	if old, found := parent.table[name]; found {
		t.twice(line, join(prefix, names...), old)
		return
	}
	parent.put(name, v)
}

// parent walks from table down all names but the last, creating what is missing,
// and returns where it ends and the last name. Where it meets something that is no
// open table it reports that and returns a table that belongs to nothing, so that
// reading can go on.
func (t *tree) parent(table *node, names, prefix []string, line int) (parent *node, last string) {
	ways, last := names[:len(names)-1], names[len(names)-1]
	for i, name := range ways {
		next, found := table.table[name]
		if !found {
			next = newTable(line, implied)
			table.put(name, next)
		}
		// A header below [[list]] belongs to its latest item.
		if next.form == doubled {
			next = next.items[len(next.items)-1]
		}
		if next.typ != tableNode || next.form == inlined {
			t.twice(line, join(prefix, names[:i+1]...), next)
			return newTable(line, implied), last
		}
		table = next
	}
	return table, last
}

// join returns the name of names below prefix, sharing memory with neither.
func join(prefix []string, names ...string) []string { return slices.Concat(prefix, names) }

var scalars = map[unstable.Kind]nodeType{
	unstable.String: stringNode, unstable.Integer: integerNode, unstable.Float: floatNode, unstable.Bool: boolNode,
}

// value turns a syntax node into a tree node; name is its key. Items of a list
// stand in lines of their own where the syntax tree knows them.
func (t *tree) value(n *unstable.Node, name []string, at lineFinder, line int) *node {
	switch n.Kind {
	case unstable.InlineTable:
		table := newTable(line, implied) // open while its own dotted keys fill it
		for it := n.Children(); it.Next(); {
			names, line := keyOf(it.Node(), at)
			t.set(table, names, name, t.value(it.Node().Value(), join(name, names...), at, line), line)
		}
		table.form = inlined
		return table
	case unstable.Array:
		list := &node{typ: listNode, form: inlined, line: line}
		for it := n.Children(); it.Next(); {
			list.items = append(list.items, t.value(it.Node(), name, at, line))
		}
		return list
	}
	return &node{typ: scalars[n.Kind], line: at(n), text: string(n.Data)}
}

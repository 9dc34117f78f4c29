package config

import (
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// expression adds one top-level expression, parsed from offset base on, to the tree.
func (d *document) expression(e *unstable.Node, base int) {
	names, line := d.keyOf(e, base)
	switch e.Kind {
	case unstable.Table:
		d.header(names, line)
	case unstable.ArrayTable:
		d.doubleHeader(names, line)
	case unstable.KeyValue:
		d.set(d.current, names, d.prefix, d.value(e.Value(), join(d.prefix, names), base, line), line)
	}
}

func (d *document) keyOf(e *unstable.Node, base int) (names []string, line int) {
	for it := e.Key(); it.Next(); {
		if len(names) == 0 {
			line = d.lineOf(base + int(it.Node().Raw.Offset))
		}
		names = append(names, string(it.Node().Data))
	}
	return names, line
}

// header enters [names].
func (d *document) header(names []string, line int) {
	d.prefix = names
	parent := d.descend(d.root, names[:len(names)-1], nil, line)
	name := names[len(names)-1]
	old, found := parent.table[name]
	switch {
	case !found:
		d.current = newTable(line, headed)
		parent.put(name, d.current)
	case old.kind == tableNode && old.origin == implied:
		old.origin, old.line = headed, line
		d.current = old
	case old.kind == tableNode && old.origin == headed:
		d.twice(line, strings.Join(names, "."), old)
		d.current = old // its keys are still checked
	default:
		d.twice(line, strings.Join(names, "."), old)
		d.current = newTable(line, headed)
	}
}

// doubleHeader enters a new item of [[names]].
func (d *document) doubleHeader(names []string, line int) {
	d.prefix = names
	parent := d.descend(d.root, names[:len(names)-1], nil, line)
	name := names[len(names)-1]
	d.current = newTable(line, headed)
	list, found := parent.table[name]
	switch {
	case !found:
		list = &node{kind: listNode, origin: doubled, line: line}
		parent.put(name, list)
	case list.origin != doubled:
		d.twice(line, strings.Join(names, "."), list)
		return
	}
	list.items = append(list.items, d.current)
}

// descend walks from table down the names, creating what is missing. Where it
// meets something that is no open table it records a fault and returns a
// detached table, so that reading can go on.
func (d *document) descend(table *node, names, prefix []string, line int) *node {
	for i, name := range names {
		next, found := table.table[name]
		if !found {
			next = newTable(line, implied)
			table.put(name, next)
		}
		if next.origin == doubled {
			next = next.items[len(next.items)-1]
		}
		if next.kind != tableNode || next.origin == inlined {
			d.twice(line, strings.Join(join(prefix, names[:i+1]), "."), next)
			return newTable(line, implied)
		}
		table = next
	}
	return table
}

// set puts a value under a possibly dotted key of table, whose own name is prefix.
func (d *document) set(table *node, names, prefix []string, v *node, line int) {
	parent := d.descend(table, names[:len(names)-1], prefix, line)
	name := names[len(names)-1]
	if old, found := parent.table[name]; found {
		d.twice(line, strings.Join(join(prefix, names), "."), old)
		return
	}
	parent.put(name, v)
}

// join returns the name of names below prefix, sharing memory with neither.
func join(prefix, names []string) []string { return slices.Concat(prefix, names) }

// value turns a syntax node into a tree node; name is its key. Items of a list
// stand in lines of their own where the syntax tree knows them.
func (d *document) value(n *unstable.Node, name []string, base, line int) *node {
	if n.Raw.Length > 0 && n.Kind != unstable.InlineTable {
		line = d.lineOf(base + int(n.Raw.Offset))
	}
	switch n.Kind {
	case unstable.InlineTable:
		table := newTable(line, implied) // open while its own dotted keys fill it
		for it := n.Children(); it.Next(); {
			names, at := d.keyOf(it.Node(), base)
			d.set(table, names, name, d.value(it.Node().Value(), join(name, names), base, at), at)
		}
		table.origin = inlined
		return table
	case unstable.Array:
		list := &node{kind: listNode, origin: inlined, line: line}
		for it := n.Children(); it.Next(); {
			list.items = append(list.items, d.value(it.Node(), name, base, line))
		}
		return list
	}
	return &node{kind: scalarKind(n.Kind), line: line, text: string(n.Data)}
}

func scalarKind(k unstable.Kind) kind {
	switch k {
	case unstable.String:
		return stringNode
	case unstable.Integer:
		return integerNode
	case unstable.Float:
		return floatNode
	case unstable.Bool:
		return boolNode
	}
	return dateNode
}

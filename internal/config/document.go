package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// kind tells what a node of the document holds.
type kind int

const (
	tableNode kind = iota
	listNode
	stringNode
	integerNode
	floatNode
	boolNode
	dateNode
	variableNode // text of an environment variable, which has no type
)

// origin tells how a table came to be, because TOML lets only some be extended.
type origin int

const (
	implied origin = iota // on the way to a deeper table or key
	headed                // by its own [header]
	inlined               // {…} or […]: closed
	doubled               // list of [[header]] tables
)

// node is a value of the document and the line it stands in.
type node struct {
	kind   kind
	origin origin
	line   int
	text   string           // scalars: the decoded string or the literal as written
	names  []string         // tables: keys in the order of the file
	table  map[string]*node // tables
	items  []*node          // lists
}

func newTable(line int, o origin) *node {
	return &node{kind: tableNode, origin: o, line: line, table: map[string]*node{}}
}

func (n *node) put(name string, child *node) {
	n.names = append(n.names, name)
	n.table[name] = child
}

// document builds the tree of a TOML text.
//
// It walks the syntax tree itself rather than decoding into structs: only so
// does every value keep its line for the checks that come long after decoding,
// and only so can one broken line be stepped over and the rest still be read.
type document struct {
	data    []byte
	breaks  []int // offsets of the newlines
	root    *node
	current *node    // table of the latest header
	prefix  []string // its name
	file    string
	faults  []Fault
	broken  bool // some text was not understood, so that keys may be lost
}

// parse reads data, the content of file, as far as it is TOML. The document's
// faults are those of syntax and of keys set twice.
func parse(file string, data []byte) *document {
	// Clipped, because positions are computed from capacities.
	data = slices.Clip(bytes.TrimPrefix(data, []byte("\ufeff")))
	d := &document{data: data, file: file, root: newTable(1, implied)}
	d.current = d.root
	for i, b := range data {
		if b == '\n' {
			d.breaks = append(d.breaks, i)
		}
	}
	for at := 0; at < len(data); {
		at = d.piece(at)
	}
	return d
}

// verify asks the library's decoder, which knows every rule about
// redefinition and every range, what the tree did not notice itself. It may
// only be asked about text that parsed. A fault in a line that has one already
// is the same mistake in other words.
func (d *document) verify(faults []Fault) []Fault {
	var ignored map[string]any
	err := toml.Unmarshal(d.data, &ignored)
	if err == nil {
		return faults
	}
	fault := Fault{File: d.file, Text: err.Error() + "; correct the TOML"}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		fault.Line, _ = wrong.Position()
		fault.Key = shown(strings.Join(wrong.Key(), "."))
		fault.Text = strings.TrimPrefix(wrong.Error(), "toml: ") + "; correct the TOML"
	}
	if slices.ContainsFunc(faults, func(f Fault) bool { return f.Line == fault.Line && f.Variable == "" }) {
		return faults
	}
	return append(faults, fault)
}

// piece reads expressions from offset at up to the end or to one that cannot
// be understood, and returns the offset to go on from.
func (d *document) piece(at int) int {
	var p unstable.Parser
	p.Reset(d.data[at:])
	next := at // start of the line after the latest good expression
	for p.NextExpression() {
		e := p.Expression()
		end := at + int(lastKey(e).Raw.Offset)
		if e.Kind == unstable.KeyValue {
			end = at + int(e.Raw.Offset+e.Raw.Length)
		}
		next = d.lineEnd(end)
		d.expression(e, at)
	}
	if p.Error() == nil {
		return len(d.data)
	}
	var wrong *unstable.ParserError
	if !errors.As(p.Error(), &wrong) {
		d.syntaxFault(0, "", p.Error().Error())
		return len(d.data)
	}
	offset := min(cap(d.data)-cap(wrong.Highlight), len(d.data)-1)
	start := d.skipBlank(next)
	line, first := d.lineOf(offset), d.lineOf(start)
	resume := d.lineEnd(start)
	header := bytes.HasPrefix(bytes.TrimSpace(d.data[start:resume]), []byte("["))
	if offset == len(d.data)-1 && line > first {
		line = first // an unclosed quote or bracket is mended where it opens
		wrong.Message += "; it begins here and is never closed"
		resume = len(d.data)
	} else if line != first {
		resume = len(d.data) // within something of several lines: no telling where it ends
	}
	d.syntaxFault(line, d.keyAt(start, header), wrong.Message)
	if header {
		d.current, d.prefix = newTable(line, implied), nil
	}
	return resume
}

// syntaxFault records what the parser says, with advice for the usual slips.
func (d *document) syntaxFault(line int, key, message string) {
	d.broken = true
	advice := "write key = value, with text in double quotes"
	switch {
	case strings.Contains(message, "start of value"), strings.Contains(message, "must be quoted"),
		strings.Contains(message, "expected newline"):
		advice = "put text, durations and sizes in double quotes"
	case strings.Contains(message, "escape"):
		advice = `write \\ for a backslash, or use single quotes`
	case strings.Contains(message, "never closed"), strings.Contains(message, "incomplete"):
		advice = "close the quote or bracket"
	case strings.Contains(message, "UTF-8"), strings.Contains(message, "utf8"):
		advice = "save the file as UTF-8"
	case strings.Contains(message, "range"):
		advice = "write a smaller number"
	}
	d.faults = append(d.faults, Fault{File: d.file, Line: line, Key: shown(key), Text: message + "; " + advice})
}

// keyAt guesses the key of an expression that could not be read, for the fault.
func (d *document) keyAt(start int, header bool) string {
	text := string(d.data[start:d.lineEnd(start)])
	if header {
		return strings.Trim(strings.TrimSpace(text), "[]")
	}
	name, _, found := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !found || strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) && r != '.' }) {
		return strings.Join(d.prefix, ".")
	}
	return strings.Join(join(d.prefix, []string{name}), ".")
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

// lineOf returns the line of an offset, from 1.
func (d *document) lineOf(offset int) int { return sort.SearchInts(d.breaks, offset) + 1 }

// lineEnd returns the offset behind the newline that follows offset.
func (d *document) lineEnd(offset int) int {
	if i := sort.SearchInts(d.breaks, offset); i < len(d.breaks) {
		return d.breaks[i] + 1
	}
	return len(d.data)
}

// skipBlank returns the start of the first line from offset, itself a line's
// start, that is neither empty nor a comment.
func (d *document) skipBlank(offset int) int {
	for offset < len(d.data) {
		end := d.lineEnd(offset)
		text := bytes.TrimSpace(d.data[offset:end])
		if end == len(d.data) || len(text) > 0 && text[0] != '#' {
			break
		}
		offset = end
	}
	return min(offset, len(d.data)-1)
}

func lastKey(e *unstable.Node) *unstable.Node {
	var last *unstable.Node
	for it := e.Key(); it.Next(); {
		last = it.Node()
	}
	return last
}

// twice records a key or table that is set a second time.
func (d *document) twice(line int, key string, first *node) {
	d.faults = append(d.faults, Fault{
		File: d.file, Line: line, Key: shown(key),
		Text: fmt.Sprintf("is set twice, first in line %d; keep one of the two", first.line),
	})
}

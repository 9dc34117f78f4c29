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

// document builds the tree of a TOML text.
//
// The syntax tree of the library is walked, and nothing decoded into structs:
// only so does every value keep its line for the checks that come long after
// decoding, and only so can one broken line be stepped over and the rest still be
// read. Of the library's positions it uses ranges of nodes and of errors.
type document struct {
	file   string
	data   []byte
	breaks []int // offsets of the newlines
	tree   tree
	faults []Fault
	broken bool // some text was not understood, so keys may be missing
}

// parseDocument reads data, the content of file, as far as it is TOML. The document's
// faults are those of syntax and of keys set twice.
func parseDocument(file string, data []byte) *document {
	// Some editors put a byte order mark in front of UTF-8.
	d := &document{file: file, data: bytes.TrimPrefix(data, []byte("\ufeff"))}
	d.tree = newTree(d.twice)
	for i, b := range d.data {
		if b == '\n' {
			d.breaks = append(d.breaks, i)
		}
	}
	for at := 0; at < len(d.data); {
		at = d.readFrom(at)
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
	fault := Fault{File: d.file, Text: strings.TrimPrefix(err.Error(), "toml: ") + "; correct the TOML"}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		fault.Line, _ = wrong.Position()
		fault.Key = shown(strings.Join(wrong.Key(), "."))
	}
	if slices.ContainsFunc(faults, func(f Fault) bool { return f.Line == fault.Line && f.Variable == "" }) {
		return faults
	}
	return append(faults, fault)
}

// readFrom reads expressions from offset at up to the end or to one that cannot
// be understood, and returns the offset to go on from.
func (d *document) readFrom(at int) int {
	var p unstable.Parser
	p.Reset(d.data[at:])
	next := at // start of the line after the latest good expression
	for p.NextExpression() {
		e := p.Expression()
		next = d.lineEnd(at + endOf(e))
		d.tree.add(e, func(n *unstable.Node) int { return d.lineOf(at + int(n.Raw.Offset)) })
	}
	var wrong *unstable.ParserError
	if !errors.As(p.Error(), &wrong) {
		return len(d.data)
	}
	offset := at + int(p.Range(wrong.Highlight).Offset)
	return d.stepOver(d.skipBlank(next), min(offset, len(d.data)-1), wrong.Message)
}

// endOf returns the offset where an expression ends, or somewhere in its last line.
func endOf(e *unstable.Node) int {
	if e.Kind == unstable.KeyValue {
		return int(e.Raw.Offset + e.Raw.Length)
	}
	end := 0
	for it := e.Key(); it.Next(); {
		end = int(it.Node().Raw.Offset)
	}
	return end
}

// stepOver records that the expression at start is wrong at offset, and returns
// the offset to go on from.
func (d *document) stepOver(start, offset int, message string) int {
	line, first := d.lineOf(offset), d.lineOf(start)
	resume := d.lineEnd(start)
	// Keys behind a header that cannot be read belong to no table that is known.
	header := bytes.HasPrefix(bytes.TrimSpace(d.data[start:resume]), []byte("["))
	if offset == len(d.data)-1 && line > first {
		line = first // an unclosed quote or bracket is mended where it opens
		message += "; it begins here and is never closed"
		resume = len(d.data)
	} else if line != first {
		resume = len(d.data) // within something of several lines: no telling where it ends
	}
	d.broken = true
	d.faults = append(d.faults, Fault{File: d.file, Line: line, Key: shown(d.keyAt(start, header)), Text: message + "; " + advice(message)})
	if header {
		d.tree.detach(line)
	}
	return resume
}

// advice says what to do about the usual slips.
func advice(message string) string {
	for _, slip := range []struct{ sign, advice string }{
		{"start of value", "put text, durations and sizes in double quotes"},
		{"must be quoted", "put text, durations and sizes in double quotes"},
		{"expected newline", "put text, durations and sizes in double quotes"},
		{"escape", `write \\ for a backslash, or use single quotes`},
		{"never closed", "close the quote or bracket"},
		{"incomplete", "close the quote or bracket"},
		{"UTF-8", "save the file as UTF-8"},
		{"utf8", "save the file as UTF-8"},
		{"range", "write a smaller number"},
	} {
		if strings.Contains(message, slip.sign) {
			return slip.advice
		}
	}
	return "write key = value, with text in double quotes"
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
		return strings.Join(d.tree.prefix, ".")
	}
	return strings.Join(join(d.tree.prefix, name), ".")
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

// twice records a key or table that is set a second time.
func (d *document) twice(line int, names []string, first *node) {
	d.faults = append(d.faults, Fault{
		File: d.file, Line: line, Key: shown(strings.Join(names, ".")),
		Text: fmt.Sprintf("is set twice, first in line %d; keep one of the two", first.line),
	})
}

// Package markdown makes the pages of the manual from the files of docs/.
//
// It runs when a page is written and in tests, and is not linked into the program: a server
// that answers with its manual needs no library that reads Markdown. What it makes is plain
// HTML without classes, styles and scripts, so that a change of docs/ can be read in the
// change of the page.
package markdown

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Prefix is the path below which the admin listener serves the pages.
const Prefix = "/manual/"

// Pages reads the directory of documents and returns the files of the manual by name:
// for each NAME.md a NAME.md.html, and drawings as they are.
func Pages(docs fs.FS) (map[string][]byte, error) {
	entries, err := fs.ReadDir(docs, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if ext := path.Ext(e.Name()); ext == ".md" || ext == ".svg" {
			names = append(names, e.Name())
		}
	}
	all := map[string][]byte{}
	for _, name := range names {
		source, err := fs.ReadFile(docs, name)
		if err != nil {
			return nil, err
		}
		if path.Ext(name) == ".svg" {
			all[name] = source
			continue
		}
		if all[name+".html"], err = page(source, names); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}

// page is one document in HTML. names are those that its links may lead to.
func page(source []byte, names []string) ([]byte, error) {
	d := &document{names: names, ids: map[string]int{}}
	converter := goldmark.New(
		goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(d, 1000))), // behind that of tables
	)
	var out bytes.Buffer
	if err := converter.Convert(source, &out); err != nil {
		return nil, err
	}
	return accessible(out.Bytes()), d.fault
}

var emptyHead = regexp.MustCompile(`<th( align="[a-z]+")?></th>`)

// accessible lets the keyboard scroll what is wider than a phone, and makes heads of columns
// that say nothing plain cells. Text cannot look like the tags: it has no < of its own.
func accessible(html []byte) []byte {
	html = emptyHead.ReplaceAll(html, []byte("<td></td>"))
	for _, change := range [][2]string{
		{"<table>", `<div tabindex="0" role="group" aria-label="table"><table>`},
		{"</table>", "</table></div>"},
		{"<pre>", `<pre tabindex="0">`},
	} {
		html = bytes.ReplaceAll(html, []byte(change[0]), []byte(change[1]))
	}
	return html
}

// document is what is known of a document while it is changed from what GitHub shows to what
// the manual does.
type document struct {
	names []string
	ids   map[string]int
	fault error
}

// Transform implements parser.ASTTransformer.
func (d *document) Transform(root *ast.Document, reader text.Reader, _ parser.Context) {
	source := reader.Source()
	var links, images, comments []ast.Node // changed afterwards: a walk does not bear it
	d.fault = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.SetAttributeString("id", []byte(d.anchor(plain(n, source))))
		case *ast.Link:
			links = append(links, n)
		case *ast.Image:
			images = append(images, n)
		case *ast.RawHTML:
			return ast.WalkStop, fmt.Errorf("%q is HTML; write it in backticks", n.Segments.Value(source))
		case *ast.HTMLBlock:
			if lines := n.Lines().Value(source); !bytes.HasPrefix(lines, []byte("<!--")) {
				return ast.WalkStop, fmt.Errorf("%q is HTML; only comments may be", lines)
			}
			comments = append(comments, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range comments {
		n.Parent().RemoveChild(n.Parent(), n)
	}
	for _, n := range images {
		d.image(n.(*ast.Image), source)
	}
	for _, n := range links {
		d.link(n.(*ast.Link), source)
	}
}

// anchor is the id that GitHub gives to a heading: small letters, digits, - and _, with - for
// each blank, and a number where another heading has the name.
func (d *document) anchor(heading string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || isWord(r):
			return r
		}
		return -1
	}, strings.ToLower(heading))
	seen := d.ids[id]
	d.ids[id]++
	if seen > 0 {
		id = fmt.Sprintf("%s-%d", id, seen)
	}
	return id
}

// link has a link lead to a page of the manual. What is elsewhere in the repository is not there
// without a network, nor with one: its path stands in the text instead.
func (d *document) link(n *ast.Link, source []byte) {
	target, fragment, _ := strings.Cut(string(n.Destination), "#")
	switch {
	case target == "" || strings.Contains(target, "://"):
		return
	case slices.Contains(d.names, target):
		n.Destination = []byte(Prefix + target)
		if fragment != "" {
			n.Destination = append(n.Destination, "#"+fragment...)
		}
		return
	}
	replace(n, path.Join("docs", target), plain(n, source))
}

// image shows drawings of docs/. Photographs of the screen are left out: they would be larger
// than all texts.
func (d *document) image(n *ast.Image, source []byte) {
	name := string(n.Destination)
	if path.Ext(name) == ".svg" && slices.Contains(d.names, name) {
		n.Destination = []byte(Prefix + name)
		return
	}
	replace(n, path.Join("docs", name), plain(n, source))
}

// replace puts what a node contains in its place, and behind it the path of a file, unless the
// text is the path.
func replace(n ast.Node, file, shown string) {
	parent := n.Parent()
	for child := n.FirstChild(); child != nil; child = n.FirstChild() {
		parent.InsertBefore(parent, n, child)
	}
	if shown != file {
		parent.InsertBefore(parent, n, ast.NewString([]byte(" ("+file+")")))
	}
	parent.RemoveChild(parent, n)
}

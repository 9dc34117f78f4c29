// Package manual has the manual as the admin listener serves it: the documents of docs/ as
// pages, and a search over them, for machines that reach nothing but their server.
//
// The texts are HTML when the program is built (package markdown), so that the program only
// puts a frame around them. It works without scripts: what is sought is found by the server.
package manual

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"path"
	"strings"
	"sync"
)

//go:generate go test -run TestPagesAreWhatDocsSay -update .

var (
	//go:embed pages
	files embed.FS
	//go:embed frame/frame.html
	frame string
	//go:embed frame/style.css
	style string
)

// File is what is served at a path of the manual.
type File struct {
	Type    string // the media type
	Content []byte
	Packed  []byte // in gzip
	Tag     string // an entity tag; it is weak, since both encodings have the same
}

// document is one document of docs/.
type document struct {
	name     string // of the file in docs/
	title    string
	body     string // HTML
	sections []*section
}

// book is the manual, put together at its first use: most servers are never asked for it.
type book struct {
	documents []*document
	files     map[string]*File // by name; the list of all has the name ""
}

var opened = sync.OnceValue(func() *book {
	entries, err := files.ReadDir("pages")
	if err != nil {
		panic("BUG: the manual is not in the program: " + err.Error())
	}
	b := &book{files: map[string]*File{}}
	for _, e := range entries {
		content, err := files.ReadFile(path.Join("pages", e.Name()))
		if err != nil {
			panic("BUG: the manual is not in the program: " + err.Error())
		}
		if name, ok := strings.CutSuffix(e.Name(), ".html"); ok {
			b.documents = append(b.documents, newDocument(name, string(content)))
		} else {
			b.files[e.Name()] = newFile("image/svg+xml", content)
		}
	}
	for _, d := range b.documents {
		b.files[d.name] = newFile(pageType, b.page(d.title, d.name, "", contents(d), d.body))
	}
	b.files[""] = newFile(pageType, b.page("The manual", "", "", "", b.list()))
	return b
})

const pageType = "text/html; charset=utf-8"

// Find returns the file of a name, which is that of a document ("operations.md") or a drawing
// in docs/, or "" for the list of all.
func Find(name string) (*File, bool) {
	f, ok := opened().files[name]
	return f, ok
}

func newFile(media string, content []byte) *File {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic("BUG: a buffer refused bytes: " + err.Error())
	}
	sum := sha256.Sum256(content)
	return &File{media, content, packed.Bytes(), fmt.Sprintf(`W/"%x"`, sum[:12])}
}

// page puts the frame around a body. name is the document's, query what was sought.
func (b *book) page(title, name, query, contents, body string) []byte {
	var pages strings.Builder
	for _, d := range b.documents {
		current := ""
		if d.name == name {
			current = ` aria-current="page"`
		}
		fmt.Fprintf(&pages, "<li><a href=\"/manual/%s\"%s>%s</a></li>\n", d.name, current, html.EscapeString(d.title))
	}
	return []byte(strings.NewReplacer("{{style}}", style, "{{title}}", html.EscapeString(title), "{{query}}", html.EscapeString(query),
		"{{pages}}", pages.String(), "{{contents}}", contents, "{{body}}", body).Replace(frame))
}

// contents is the table of contents of a document.
func contents(d *document) string {
	var b strings.Builder
	b.WriteString("<details class=\"contents\"><summary>On this page</summary><nav aria-label=\"On this page\"><ul>\n")
	for _, s := range d.sections {
		if s.level == 2 || s.level == 3 {
			fmt.Fprintf(&b, "<li class=\"h%d\"><a href=\"#%s\">%s</a></li>\n", s.level, s.id, html.EscapeString(s.title))
		}
	}
	b.WriteString("</ul></nav></details>")
	return b.String()
}

// list is the body of the first page: all documents with their parts.
func (b *book) list() string {
	var out strings.Builder
	out.WriteString("<h1>The manual</h1>\n<p>What this server's release says of itself; nothing is fetched from any other host. " +
		"Where a text names <code>docs/operations.md</code>, that is <a href=\"/manual/operations.md\">/manual/operations.md</a>.</p>\n")
	for _, d := range b.documents {
		fmt.Fprintf(&out, "<h2><a href=\"/manual/%s\">%s</a></h2>\n<ul class=\"parts\">\n", d.name, html.EscapeString(d.title))
		for _, s := range d.sections {
			if s.level == 2 {
				fmt.Fprintf(&out, "<li><a href=\"%s\">%s</a></li>\n", s.address(), html.EscapeString(s.title))
			}
		}
		out.WriteString("</ul>\n")
	}
	return out.String()
}

// ContentSecurityPolicy is the value of the header of that name for the pages: they have one
// style, named by its hash, and drawings and a search of their own server. There are no scripts.
func ContentSecurityPolicy() string {
	sum := sha256.Sum256([]byte(style))
	return strings.Join([]string{
		"default-src 'none'", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "img-src 'self' data:",
		"base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
}

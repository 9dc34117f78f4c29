package openapi

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"strings"
)

// The parts of the page. They are written by hand, as one document, one style
// sheet and one script, so that what runs in a reader's browser is short enough to
// be read.
var (
	//go:embed page/index.html
	index string
	//go:embed page/style.css
	style string
	//go:embed page/script.js
	script string
)

// Page is what the interactive documentation shows.
type Page struct {
	Title string
	// Document is as Document returns it. The page fetches it anew; readers without scripts
	// get a table of it.
	Document []byte
	// Dashboard is where operators' page is, for a reader on the server's own machine. The
	// page publishes it: it is "" for an address that somebody else could make use of.
	Dashboard string
}

// DocsPage returns the interactive documentation: one HTML document without any
// reference to another host, which fetches openapi.json next to itself. It must
// be sent with ContentSecurityPolicy, and is the same for every request.
func DocsPage(p Page) []byte {
	page := strings.NewReplacer(
		"{{title}}", html.EscapeString(p.Title),
		"{{dashboard}}", html.EscapeString(p.Dashboard),
		"{{plain}}", plain(p.Document),
		"{{style}}", style,
		"{{script}}", script,
	).Replace(index)
	return []byte(page)
}

// ContentSecurityPolicy returns the value of the header of that name for the
// page: it may run its own script and style, named by their hashes, and talk
// to its own server. Nothing else, and no text may ever become markup.
func ContentSecurityPolicy() string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + hash(script),
		"style-src " + hash(style),
		"img-src data:", // the icon, which is drawn in the page itself
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// hash is a source expression for inline text (CSP level 2, section 4.2.5).
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

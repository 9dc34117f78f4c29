// Package dashboard has the operators' page: one HTML document with its script and style,
// which fetches nothing from any other host.
//
// It is written by hand and embedded as it is, so that there is no build step and what runs
// in an operator's browser can be read. Only the plots are a library's (uPlot).
package dashboard

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"slices"
	"strconv"
	"strings"
)

var (
	//go:embed page/index.html
	index string
	//go:embed page/style.css
	style string
	//go:embed page/script.js
	script string
	//go:embed page/uplot.css
	plotStyle string
	//go:embed page/uplot.js
	plotScript string
)

// The script and the style as they stand in the page.
var (
	scripts = strings.TrimSpace(plotScript) + "\n" + script
	styles  = strings.TrimSpace(plotStyle) + "\n" + style
	page    = strings.NewReplacer("{{style}}", styles, "{{script}}", scripts).Replace(index)
)

// Page is the document. tick is the newest tick in JSON, of which browsers without scripts get
// a table; nil: there is none yet.
func Page(tick []byte) []byte {
	var now struct {
		Values map[string]float64 `json:"values"`
		Checks map[string]string  `json:"checks"`
	}
	rows := ""
	if err := json.Unmarshal(tick, &now); err == nil {
		for _, name := range slices.Sorted(maps.Keys(now.Checks)) {
			rows += row(name, now.Checks[name])
		}
		for _, name := range slices.Sorted(maps.Keys(now.Values)) {
			rows += row(name, strconv.FormatFloat(now.Values[name], 'f', -1, 64))
		}
	}
	before, after, _ := strings.Cut(page, "{{rows}}")
	return []byte(before + rows + after)
}

func row(name, value string) string {
	return fmt.Sprintf("<tr><th scope=\"row\">%s</th><td>%s</td></tr>", html.EscapeString(name), html.EscapeString(value))
}

// ContentSecurityPolicy is the value of the header of that name for the page: it may run its
// own script and style, named by their hashes, and ask its own server. No text may become
// markup.
func ContentSecurityPolicy() string {
	return strings.Join([]string{
		"default-src 'none'", "script-src " + hash(scripts), "style-src " + hash(styles), "img-src data:", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
}

// hash is a source expression for inline text (CSP level 2, section 4.2.5).
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

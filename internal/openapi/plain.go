package openapi

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"strings"
)

// maxPlain bounds the operations of the table without scripts. Whoever has more reads the
// document.
const maxPlain = 300

// plain is the document as readers without scripts see it: a table of operations, in which
// what can be read is a link to its example, and one of schemas with their members.
func plain(text []byte) string {
	var doc document
	decode(text, &doc)
	var page bytes.Buffer
	page.WriteString(`<p class="note">Without scripts there is no form to try things. All there is to know is in <a href="openapi.json">openapi.json</a>.</p>`)
	page.WriteString("<table><caption>Operations</caption><thead><tr><th>Method<th>Path<th>What it does</thead><tbody>")
	listed := 0
	for _, path := range doc.Paths {
		var methods object
		decode(path.value.(json.RawMessage), &methods)
		for _, m := range methods {
			if listed++; listed > maxPlain {
				continue
			}
			var op plainOperation
			decode(m.value.(json.RawMessage), &op)
			page.WriteString("<tr><td>" + html.EscapeString(strings.ToUpper(m.key)) + "<td>")
			cell := `<span class="path">` + html.EscapeString(path.key) + "</span>"
			if m.key == "get" {
				cell = `<a href="` + html.EscapeString(op.example(path.key)) + `">` + cell + "</a>"
			}
			page.WriteString(cell + "<td>" + html.EscapeString(op.Summary))
		}
	}
	if listed > maxPlain {
		page.WriteString("<tr><td><td><td>… and more")
	}
	page.WriteString("</tbody></table><table><caption>Schemas</caption><thead><tr><th>Name<th>Members</thead><tbody>")
	for i, schema := range doc.Components.Schemas {
		if i == maxPlain {
			page.WriteString("<tr><td><td>… and more")
			break
		}
		var s struct{ Properties object }
		decode(schema.value.(json.RawMessage), &s)
		var members []string
		for _, m := range s.Properties {
			members = append(members, m.key)
		}
		page.WriteString("<tr><td>" + html.EscapeString(schema.key) + "<td>" + html.EscapeString(strings.Join(members, ", ")))
	}
	page.WriteString("</tbody></table>")
	return page.String()
}

// plainOperation is what the table shows of an operation.
type plainOperation struct {
	Summary    string
	Parameters []struct {
		Name, In string
		Example  json.RawMessage
	}
}

// example is where its example is read. The address begins with no slash of its own: a
// balancer may serve all this below a path.
func (op plainOperation) example(path string) string {
	var query []string
	for _, p := range op.Parameters {
		var values []json.RawMessage
		if kindOf(p.Example) == '[' {
			decode(p.Example, &values)
		} else {
			values = append(values, p.Example)
		}
		for _, v := range values {
			text := string(v)
			if kindOf(v) == '"' {
				decode(v, &text)
			}
			switch p.In {
			case "path":
				path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
			case "query":
				query = append(query, url.QueryEscape(p.Name)+"="+url.QueryEscape(text))
			}
		}
	}
	address := "." + path
	if query != nil {
		address += "?" + strings.Join(query, "&")
	}
	return address
}

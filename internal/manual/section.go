package manual

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// section is a heading with what stands below it, down to the next heading.
type section struct {
	name  string // of the document
	id    string
	level int
	title string
	above []string // titles of what it is a part of, the document's first
	text  string   // without the title, on one line

	lowTitle, lowText string // as they are sought; bytes stand where they do in title and text
	lowNames          string // what rows of tables begin with: keys, metrics, paths
}

func (s *section) address() string { return "/manual/" + s.name + "#" + s.id }

var (
	tag     = regexp.MustCompile(`<[^>]*>`)
	cells   = regexp.MustCompile(`</t[dh]>\s*<t[dh]`)
	rowName = regexp.MustCompile(`<tr>\s*<td[^>]*>(<code>.*?)</td>`)
	heading = regexp.MustCompile(`(?m)^<h([1-6]) id="([^"]*)">(.*)</h[1-6]>$`)
)

// newDocument finds the sections of a page that package markdown has made.
func newDocument(name, body string) *document {
	d := &document{name: name, title: name, body: body}
	var titles [7]string // by level, of the headings that are open
	found := heading.FindAllStringSubmatchIndex(body, -1)
	for i, at := range found {
		end := len(body)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		s := &section{name: name, id: body[at[4]:at[5]], level: int(body[at[2]] - '0'), title: plain(body[at[6]:at[7]]), text: plain(body[at[1]:end])}
		for _, title := range titles[:s.level] {
			if title != "" {
				s.above = append(s.above, title)
			}
		}
		titles[s.level] = s.title
		clear(titles[s.level+1:])
		s.lowTitle, s.lowText = low(s.title), low(s.text)
		for _, name := range rowName.FindAllStringSubmatch(body[at[1]:end], -1) {
			s.lowNames += low(plain(name[1])) + "\n"
		}
		d.sections = append(d.sections, s)
	}
	if len(d.sections) > 0 {
		d.title = d.sections[0].title
	}
	return d
}

// plain is the text of markup.
func plain(markup string) string {
	markup = cells.ReplaceAllString(markup, " · <td")
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(markup, ""))), " ")
}

// low is text in small letters. Letters whose small ones have another length stay as they are,
// so that what is found in it stands at the same place in the text.
func low(text string) string {
	return strings.Map(func(r rune) rune {
		if small := unicode.ToLower(r); utf8.RuneLen(small) == utf8.RuneLen(r) {
			return small
		}
		return r
	}, text)
}

package manual

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a search: a server that is busy is asked, too.
const (
	MaxQuery   = 100 // characters
	maxResults = 30
)

// result is a section that has all words.
type result struct {
	*section
	inTitle int // words that the title has
	inNames int // words that names of a table's rows have: it explains them
	count   int // how often the words stand there
}

// Search is the page of what has all words of a query, or their beginnings: in titles first,
// then where tables explain them, then by how often. A query that is longer than MaxQuery is cut.
func Search(query string) []byte {
	b := opened()
	query = strings.ToValidUTF8(query, "")
	if runes := []rune(query); len(runes) > MaxQuery {
		query = string(runes[:MaxQuery])
	}
	words := strings.Fields(low(query))
	slices.Sort(words)
	words = slices.Compact(words)
	found := b.search(words)
	return b.page(query+": search", "", query, "", results(query, found, words))
}

func (b *book) search(words []string) []result {
	var found []result
	for _, d := range b.documents {
		for _, s := range d.sections {
			if r, ok := s.match(words); ok {
				found = append(found, r)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b result) int {
		return cmp.Or(cmp.Compare(b.inTitle, a.inTitle), cmp.Compare(b.inNames, a.inNames), cmp.Compare(b.count, a.count))
	})
	return found
}

// match reports whether a section has all words, of which there is one at least.
func (s *section) match(words []string) (r result, ok bool) {
	r.section = s
	for _, word := range words {
		inTitle, inText := count(s.lowTitle, word), count(s.lowText, word)
		if inTitle+inText == 0 {
			return r, false
		}
		r.inTitle += min(inTitle, 1)
		r.inNames += min(count(s.lowNames, word), 1)
		r.count += inTitle + inText
	}
	return r, len(words) > 0
}

func count(text, word string) int {
	n := 0
	for at := next(text, word, 0); at >= 0; at = next(text, word, at+len(word)) {
		n++
	}
	return n
}

// next is where a word of the text begins with this one, from a place on; -1: nowhere. Names
// are words at each of their parts: replicas is found in redis.wait_replicas.
func next(text, word string, from int) int {
	first, _ := utf8.DecodeRuneInString(word)
	for from <= len(text)-len(word) {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return -1
		}
		at := from + i
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		if at == 0 || !isLetter(first) || !isLetter(before) {
			return at
		}
		from = at + len(word)
	}
	return -1
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// results is the body of the page.
func results(query string, found []result, words []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<h1>%s</h1>\n", html.EscapeString(query))
	switch n := len(found); {
	case n == 0:
		b.WriteString("<p>No section has all of these words. Beginnings of words are found, too; fewer words find more.</p>\n")
	case n == 1:
		b.WriteString("<p>One section.</p>\n")
	case n > maxResults:
		fmt.Fprintf(&b, "<p>%d sections, of which these are the first %d. More words find fewer.</p>\n", n, maxResults)
	default:
		fmt.Fprintf(&b, "<p>%d sections.</p>\n", n)
	}
	b.WriteString("<ol class=\"found\">\n")
	for _, r := range found[:min(len(found), maxResults)] {
		fmt.Fprintf(&b, "<li><a href=\"%s\">%s</a> <span class=\"soft\">%s</span>\n<p>%s</p></li>\n", r.address(), marked(r.title, r.lowTitle, words),
			html.EscapeString(strings.Join(append([]string{"docs/" + r.name}, r.above...), " › ")), r.snippet(words))
	}
	b.WriteString("</ol>\n")
	return b.String()
}

// snippet is a part of the text with a word in it, or its beginning where only the title has one.
func (s *section) snippet(words []string) string {
	const before, most = 80, 260 // bytes
	hit := len(s.text)
	for _, word := range words {
		if at := next(s.lowText, word, 0); at >= 0 {
			hit = min(hit, at)
		}
	}
	if hit == len(s.text) {
		hit = 0
	}
	begin, end, ahead, behind := 0, len(s.text), "", ""
	if hit > before {
		begin, ahead = hit-before, "… "
		begin += max(strings.IndexByte(s.text[begin:hit], ' '), 0) + 1
	}
	if end > begin+most {
		behind = " …"
		end = begin + most
		end = max(hit, begin+strings.LastIndexByte(s.text[begin:end], ' '))
	}
	for !utf8.RuneStart(at(s.text, begin)) { // no blank was near
		begin++
	}
	for !utf8.RuneStart(at(s.text, end)) {
		end++
	}
	return ahead + marked(s.text[begin:end], s.lowText[begin:end], words) + behind
}

// at is a byte of the text, or what stands behind it.
func at(text string, i int) byte {
	if i < len(text) {
		return text[i]
	}
	return 0
}

// marked is text in HTML in which the words are marked. lowered is the text in small letters.
func marked(text, lowered string, words []string) string {
	var b strings.Builder
	for from := 0; ; {
		hit, length := len(text), 0
		for _, word := range words {
			if at := next(lowered, word, from); at >= 0 && (at < hit || at == hit && len(word) > length) {
				hit, length = at, len(word)
			}
		}
		b.WriteString(html.EscapeString(text[from:hit]))
		if length == 0 {
			return b.String()
		}
		from = hit + length
		fmt.Fprintf(&b, "<mark>%s</mark>", html.EscapeString(text[hit:from]))
	}
}

package top

import "strings"

// mark is how a part of a line is set off. What it says is said by the text, too: colours may
// not be there, or not be told apart.
type mark int

const (
	plain mark = iota
	dim
	strong
	good
	bad
	head
)

// part is a clean text.
type part struct {
	mark mark
	text string
}

// line is a line of the screen without its end.
type line []part

func (l line) width() (n int) {
	for _, p := range l {
		n += width(p.text)
	}
	return n
}

// text is the line without marks.
func (l line) text() string {
	var b strings.Builder
	for _, p := range l {
		b.WriteString(p.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// Codes of ECMA-48 (SGR), with colours and without: what NO_COLOR asks for leaves the others.
var (
	coloured   = map[mark]string{dim: "\x1b[2m", strong: "\x1b[1m", good: "\x1b[1;32m", bad: "\x1b[1;31m", head: "\x1b[7m"}
	colourless = map[mark]string{strong: "\x1b[1m", bad: "\x1b[1m", head: "\x1b[7m"}
)

// painted is the line with codes, which end with it.
func (l line) painted(codes map[mark]string) string {
	var b strings.Builder
	for _, p := range l {
		code := codes[p.mark]
		b.WriteString(code)
		b.WriteString(p.text)
		if code != "" {
			b.WriteString("\x1b[0m")
		}
	}
	return b.String()
}

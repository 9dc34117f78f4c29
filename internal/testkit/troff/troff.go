// Package troff writes manual pages, for the tests that make them out of tables.
//
// It knows the man macros alone, which every man knows, and is apart from what the program
// contains: the pages are files of the package, made when the tables change.
package troff

import (
	"fmt"
	"strings"
)

// Word is a text of which no character means anything to troff.
func Word(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`, `"`, `\(dq`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// Text is a paragraph with `code` in backquotes, which becomes bold. A sentence begins a line.
func Text(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			fmt.Fprintf(&b, `\fB%s\fR`, Word(part))
			continue
		}
		b.WriteString(strings.ReplaceAll(Word(part), ". ", ".\n"))
	}
	var lines []string
	for line := range strings.SplitSeq(b.String(), "\n") {
		lines = append(lines, wrapped(line)...)
	}
	return strings.Join(lines, "\n")
}

// wrapped breaks a line between words: checkers ask for lines of 80 bytes at most.
func wrapped(text string) (lines []string) {
	const most = 76
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > most {
			lines, line = append(lines, line), ""
		}
		if line == "" && word[0] == '.' {
			word = `\&` + word
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

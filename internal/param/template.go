package param

import (
	"fmt"
	"strings"
)

// Reserved is what keys of the server's own begin with.
const Reserved = "hearth:"

// Template is a parsed key template: literals and parameter names in turn.
type Template struct {
	// Text is the template as it is written.
	Text string
	// Parts make up Text; no two literals follow one another.
	Parts []Part
}

// Part is a literal or, with a non-empty Param, the value of a path parameter.
type Part struct{ Literal, Param string }

// ParseTemplate parses user:{user_id}, or says what is wrong with it.
func ParseTemplate(text string) (t Template, wrong string) {
	t = Template{Text: text}
	if text == "" {
		return t, `is empty; write it as "user:{id}"`
	}
	if len(text) > 256 {
		return t, "is longer than 256 bytes; write a shorter one"
	}
	// A literal and a parameter at a time.
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if wrong := checkLiteral(before); wrong != "" {
			return t, wrong
		}
		if before != "" {
			t.Parts = append(t.Parts, Part{Literal: before})
		}
		if !found {
			break
		}
		param, behind, closed := strings.Cut(after, "}")
		if !closed || !paramName.MatchString(param) {
			return t, "has a brace that is part of no {parameter}; name the path's parameters without their types, and use no other braces"
		}
		t.Parts = append(t.Parts, Part{Param: param})
		rest = behind
	}
	if strings.HasPrefix(text, Reserved) {
		return t, fmt.Sprintf("begins with %q, which is reserved; take another prefix", Reserved)
	}
	return t, ""
}

// checkLiteral accepts the bytes a key may have outside its parameters.
func checkLiteral(text string) string {
	for _, c := range text {
		if c <= ' ' || c > '~' || c == '}' {
			return fmt.Sprintf("has the character %q; use visible ASCII characters without braces", c)
		}
	}
	return ""
}

// Plain tells whether the template has no parameters.
func (t Template) Plain() bool { return len(t.Parts) == 1 && t.Parts[0].Param == "" }

// Anonymous is the template's text with its parameters' names left out.
func (t Template) Anonymous() string {
	var b strings.Builder
	for _, part := range t.Parts {
		b.WriteString(part.Literal)
		if part.Param != "" {
			b.WriteString("{}")
		}
	}
	return b.String()
}

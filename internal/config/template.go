package config

import (
	"fmt"
	"strings"
)

// reserved is what keys of the server's own begin with.
const reserved = "hearth:"

// templateReader reads the key of a resource.
func templateReader(dst *Template) reader {
	return func(n *node, bad complain) {
		if !isText(n) {
			bad(n, "%s is no text; write it in double quotes", describe(n))
			return
		}
		t, wrong := parseTemplate(n.text)
		if wrong != "" {
			bad(n, "%s %s", quote(n.text), wrong)
			return
		}
		*dst = t
	}
}

// parseTemplate parses user:{user_id}, or says what is wrong with it.
func parseTemplate(text string) (Template, string) {
	t := Template{Text: text}
	if text == "" {
		return t, `is empty; write it as "user:{id}"`
	}
	if len(text) > 256 {
		return t, "is longer than 256 bytes; write a shorter one"
	}
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
	if strings.HasPrefix(text, reserved) {
		return t, fmt.Sprintf("begins with %q, which is reserved; take another prefix", reserved)
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

// checkPlainKey accepts a key without parameters.
func checkPlainKey(text string) string {
	t, wrong := parseTemplate(text)
	if wrong == "" && (len(t.Parts) != 1 || t.Parts[0].Param != "") {
		return "has a parameter, which only a resource's key may have; write it without"
	}
	return wrong
}

// alphabet is the set of bytes that the values of one type consist of in keys.
type alphabet [4]uint64 // a bit per byte

func alphabetOf(chars string) *alphabet {
	var a alphabet
	for i := range len(chars) {
		a[chars[i]/64] |= 1 << (chars[i] % 64)
	}
	return &a
}

func (a *alphabet) has(c byte) bool { return a[c/64]&(1<<(c%64)) != 0 }

func (a *alphabet) shares(b *alphabet) bool {
	return a[0]&b[0]|a[1]&b[1]|a[2]&b[2]|a[3]&b[3] != 0
}

const digits = "0123456789"

// inKeys returns the bytes a parameter's value can have in a key, behind its
// first byte: a minus begins an integer and nothing else.
func inKeys(typ string) *alphabet {
	switch typ {
	case "int":
		return alphabetOf(digits)
	case "uuid":
		return alphabetOf(digits + "abcdef-")
	}
	// Everything else is percent-encoded before it gets into a key.
	return alphabetOf(digits + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._~@-%")
}

// atom is one step of the pattern of a template's keys.
type atom struct {
	set    *alphabet
	skip   bool // may be left out
	repeat bool // may be taken again
}

// pattern turns a template into steps; types are those of its parameters.
func (t Template) pattern(types map[string]string) []atom {
	var steps []atom
	for _, part := range t.Parts {
		for i := range len(part.Literal) {
			steps = append(steps, atom{set: alphabetOf(part.Literal[i : i+1])})
		}
		if part.Param == "" {
			continue
		}
		set := inKeys(types[part.Param])
		switch types[part.Param] {
		case "int":
			steps = append(steps, atom{set: alphabetOf("-"), skip: true})
		case "uuid":
			hex := alphabetOf(digits + "abcdef")
			for i := range 36 {
				if i == 8 || i == 13 || i == 18 || i == 23 {
					steps = append(steps, atom{set: alphabetOf("-")})
				} else {
					steps = append(steps, atom{set: hex})
				}
			}
			continue
		}
		steps = append(steps, atom{set: set}, atom{set: set, skip: true, repeat: true})
	}
	return steps
}

// meets tells whether some key fits both patterns. It searches the product of
// the two automata, whose states are positions in the patterns.
func meets(a, b []atom) bool {
	type state struct{ i, j int }
	seen := map[state]bool{}
	todo := []state{{0, 0}}
	visit := func(i, j int) {
		if s := (state{i, j}); !seen[s] {
			seen[s] = true
			todo = append(todo, s)
		}
	}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.i == len(a) && s.j == len(b) {
			return true
		}
		if s.i < len(a) && a[s.i].skip {
			visit(s.i+1, s.j)
		}
		if s.j < len(b) && b[s.j].skip {
			visit(s.i, s.j+1)
		}
		if s.i == len(a) || s.j == len(b) || !a[s.i].set.shares(b[s.j].set) {
			continue
		}
		i, j := s.i+1, s.j+1
		if a[s.i].repeat {
			i = s.i
		}
		if b[s.j].repeat {
			j = s.j
		}
		visit(i, j)
	}
	return false
}

// anonymous is a template's text with its parameters numbered.
func (t Template) anonymous() string {
	var b strings.Builder
	for _, part := range t.Parts {
		b.WriteString(part.Literal)
		if part.Param != "" {
			b.WriteString("{}")
		}
	}
	return b.String()
}

// ambiguous names two parameters of which a key does not tell where one ends
// and the other begins, or returns "". Between them there must be a byte that
// the left one cannot contain: its first occurrence marks the end.
func (t Template) ambiguous(types map[string]string) (left, right string) {
	marked := false
	for _, part := range t.Parts {
		if part.Param != "" {
			if left != "" && !marked {
				return left, part.Param
			}
			left, marked = part.Param, false
			continue
		}
		if left == "" {
			continue
		}
		set := inKeys(types[left])
		for i := range len(part.Literal) {
			marked = marked || !set.has(part.Literal[i])
		}
	}
	return "", ""
}

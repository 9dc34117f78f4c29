package config

import (
	"regexp"

	"hearth/internal/param"
)

var name = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// parsed reads a text that parse understands, or says what is wrong with it.
func parsed[T any](dst *T, parse func(string) (T, string)) reader {
	return func(n *node, bad complain) {
		if !isText(n) {
			bad(n, "%s is no text; write it in double quotes", describe(n))
			return
		}
		v, wrong := parse(n.text)
		if wrong != "" {
			bad(n, "%s %s", quote(n.text), wrong)
			return
		}
		*dst = v
	}
}

// checkPlainPath accepts a path without parameters.
func checkPlainPath(text string) string {
	p, wrong := param.ParsePath(text)
	if wrong == "" && len(p.Params()) > 0 {
		return "has a parameter, which only a resource's path may have; write it without"
	}
	return wrong
}

// checkPlainKey accepts a key without parameters.
func checkPlainKey(text string) string {
	t, wrong := param.ParseTemplate(text)
	if wrong == "" && !t.Plain() {
		return "has a parameter, which only a resource's key may have; write it without"
	}
	return wrong
}

// checkArea accepts a path of a limit.
func checkArea(text string) string {
	_, wrong := param.ParseArea(text)
	return wrong
}

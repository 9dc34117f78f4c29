package config

import (
	"cmp"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hearth/internal/param"
)

// complain records what is wrong with a node and what to write instead.
type complain func(n *node, format string, args ...any)

// store puts what n says into the field, or complains and leaves what is there.
func (f field) store(n *node, bad complain) {
	switch dst := f.value.Addr().Interface().(type) {
	case *bool:
		if n.typ != boolNode && (n.typ != variableNode || n.text != "true" && n.text != "false") {
			bad(n, "%s is neither true nor false; write one of them, without quotes", n)
			return
		}
		*dst = n.text == "true"
	case *int:
		storeNumber(f, dst, integers, n, bad)
	case *float64:
		storeNumber(f, dst, decimals, n, bad)
	case *time.Duration:
		storeNumber(f, dst, durations, n, bad)
	case *Bytes:
		storeNumber(f, dst, sizes, n, bad)
	case *Rate:
		storeRate(dst, n, bad)
	case *fs.FileMode:
		storeMode(dst, n, bad)
	case *string:
		storeText(dst, f.checked, n, bad)
	case *Secret:
		// The text is the first of what every complaint shows.
		hidden := func(at *node, format string, args ...any) { // no fault may show it
			args[0] = "the value"
			bad(at, format, args...)
		}
		var text string
		if storeText(&text, f.checked, n, hidden) {
			*dst = NewSecret(text)
		}
	case *param.Path:
		storeText(dst, f.path, n, bad)
	case *param.Template:
		storeText(dst, f.template, n, bad)
	case *param.URL:
		storeText(dst, param.ParseURL, n, bad)
	case *[]string:
		storeList(dst, f.checked, n, bad)
	case *[]param.Area:
		storeList(dst, param.ParseArea, n, bad)
	case *[]netip.Prefix:
		storeList(dst, parseNetwork, n, bad)
	case *map[string]string:
		storeMap(dst, f.checked, n, bad)
	default:
		panic("BUG: no value of " + f.name + "'s type can be read")
	}
}

// parser makes something of a text, or says what is wrong with it and what to
// write instead. The caller puts the text itself in front, if it may be shown.
type parser[T any] func(text string) (v T, wrong string)

// checked is the parser of a text that stays one.
func (f field) checked(text string) (string, string) {
	if words := f.tag.Get("oneof"); words != "" {
		return text, oneOf(strings.Fields(words)...)(text)
	}
	if name := f.tag.Get("check"); name != "" {
		return text, checks[name](text)
	}
	return text, ""
}

// path parses a path; a plain one has no parameters.
func (f field) path(text string) (param.Path, string) {
	p, wrong := param.ParsePath(text)
	if wrong == "" && f.tag.Get("check") == "plain" && len(p.Params()) > 0 {
		wrong = "has a parameter, which only a resource's path may have; write it without"
	}
	return p, wrong
}

// template parses a key; a plain one has no parameters.
func (f field) template(text string) (param.Template, string) {
	t, wrong := param.ParseTemplate(text)
	if wrong == "" && f.tag.Get("check") == "plain" && !t.Plain() {
		wrong = "has a parameter, which only a resource's key may have; write it without"
	}
	return t, wrong
}

// storeText reads a text that parse understands.
func storeText[T any](dst *T, parse parser[T], n *node, bad complain) bool {
	if !n.isText() {
		bad(n, "%s is no text; write it in double quotes", n)
		return false
	}
	v, wrong := parse(n.text)
	if wrong != "" {
		bad(n, "%s %s", n, wrong)
		return false
	}
	*dst = v
	return true
}

// storeList reads a list of texts.
func storeList[T any](dst *[]T, parse parser[T], n *node, bad complain) {
	if n.typ != listNode {
		bad(n, `%s is no list; write it as ["…"]`, n)
		return
	}
	*dst = make([]T, len(n.items))
	for i, item := range n.items {
		storeText(&(*dst)[i], parse, item, bad)
	}
}

// storeMap reads a table of texts whose keys are the file's own choice.
func storeMap(dst *map[string]string, parse parser[string], n *node, bad complain) {
	if n.typ != tableNode {
		bad(n, `%s is no table; write it as { name = "…" }`, n)
		return
	}
	*dst = map[string]string{}
	for name, item := range n.table {
		var text string
		storeText(&text, parse, item, bad)
		(*dst)[name] = text
	}
}

// storeMode reads the mode of a file: octal digits in a text, such as "0660". Its
// owner may always read and write.
func storeMode(dst *fs.FileMode, n *node, bad complain) {
	m, err := strconv.ParseUint(strings.TrimPrefix(n.text, "0o"), 8, 32)
	switch {
	case !n.isText() || err != nil || m > 0o777:
		bad(n, `%s is no mode of a file; write it in octal digits, such as "0660"`, n)
	case m&0o600 != 0o600:
		bad(n, `%s keeps the server itself out; write "0600", or "0660" for a group`, n)
	default:
		*dst = fs.FileMode(m)
	}
}

// storeRate reads "100/s", "5000/m" or "1/h".
func storeRate(dst *Rate, n *node, bad complain) {
	count, unit, _ := strings.Cut(n.text, "/")
	c, err := strconv.ParseUint(count, 10, 31)
	window, known := windows[unit]
	switch {
	case !n.isText() || err != nil || !known:
		bad(n, "%s is no rate; write it as %q, with s, m or h", n, cmp.Or(guessRate(n.text), "100/s"))
	case c == 0 || c > 1_000_000_000:
		bad(n, `%s is out of range; write "1/h" to "1000000000/s"`, n)
	default:
		*dst = Rate{Count: int(c), Window: window}
	}
}

// storeNumber reads a number that lies in the range of the field.
func storeNumber[T cmp.Ordered](f field, dst *T, as notation[T], n *node, bad complain) {
	// Bounds are parsed when they are needed: a fault is rare, and the tag is what
	// the complaint shows.
	least, most, _ := strings.Cut(f.tag.Get("range"), " ")
	bound := func(text string) T {
		v, ok := as.parse(&node{typ: variableNode, text: text})
		if !ok {
			panic("BUG: " + f.name + " has the bound " + quote(text))
		}
		return v
	}
	v, ok := as.parse(n)
	// A variable has no type: its text is all there is to judge by.
	typed := n.typ == variableNode || slices.Contains(as.types, n.typ)
	switch {
	case typed && ok && v >= bound(least) && v <= bound(most):
		*dst = v
	case f.tag.Get("default") == "auto" && n.isText() && n.text == "auto":
		*dst = *new(T)
	case f.tag.Get("default") == "0s" && n.isText() && n.text == "": // no time is none
		*dst = *new(T)
	case as.quoted && typed && ok:
		bad(n, "%s is out of range; write %q to %q", n, least, most)
	case as.quoted:
		bad(n, "%s is no %s; write it as %q", n, as.noun, cmp.Or(as.guess(n.text), f.example(), as.example))
	case typed && ok:
		bad(n, "%s is out of range; write %s to %s", n.text, least, most)
	case typed:
		bad(n, "%s is no %s; write one from %s to %s", n, as.noun, least, most)
	default:
		bad(n, "%s is no %s; write it as %s, without quotes", n, as.noun, cmp.Or(f.example(), least))
	}
}

// example is the default, which is certainly a good value, unless it says nothing of
// the form.
func (f field) example() string {
	if text := f.tag.Get("default"); text != "auto" && text != "0s" {
		return text
	}
	return ""
}

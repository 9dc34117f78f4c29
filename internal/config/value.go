package config

import (
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// complain records what is wrong with a node and what to write instead.
type complain func(n *node, format string, args ...any)

// reader stores the value of a node, or complains and leaves the default.
type reader func(n *node, bad complain)

// check returns "" for a good text, else what is wrong with it and what to
// write instead. The caller puts the text itself in front, if it may be shown.
type check func(text string) string

// describe shows a value in a fault.
func describe(n *node) string {
	switch n.kind {
	case stringNode, variableNode:
		return quote(n.text)
	case tableNode:
		return "a table"
	case listNode:
		return "a list"
	}
	return n.text
}

// quote shows a text, but not pages of it.
func quote(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		return strconv.Quote(string([]rune(text)[:most])) + "…"
	}
	return strconv.Quote(text)
}

func isText(n *node) bool { return n.kind == stringNode || n.kind == variableNode }

// text reads a string.
func text(dst *string, ok check) reader {
	return func(n *node, bad complain) {
		if !isText(n) {
			bad(n, "%s is no text; write it in double quotes", describe(n))
			return
		}
		if fault := ok(n.text); fault != "" {
			bad(n, "%s %s", quote(n.text), fault)
			return
		}
		*dst = n.text
	}
}

// secret reads a string that no fault may show.
func secret(dst *Secret, ok check) reader {
	return func(n *node, bad complain) {
		if !isText(n) {
			bad(n, "the value is no text; write it in double quotes")
			return
		}
		if fault := ok(n.text); fault != "" {
			bad(n, "the value %s", fault)
			return
		}
		*dst = NewSecret(n.text)
	}
}

// texts reads a list of strings.
func texts(dst *[]string, ok check) reader {
	return func(n *node, bad complain) {
		if n.kind != listNode {
			bad(n, `%s is no list; write it as ["…"]`, describe(n))
			return
		}
		list := make([]string, 0, len(n.items))
		for _, item := range n.items {
			var s string
			text(&s, ok)(item, bad)
			list = append(list, s)
		}
		*dst = list
	}
}

// mapping reads a table of texts whose keys are the file's own choice.
func mapping(dst *map[string]string, ok check) reader {
	return func(n *node, bad complain) {
		if n.kind != tableNode {
			bad(n, `%s is no table; write it as { name = "…" }`, describe(n))
			return
		}
		all := map[string]string{}
		for _, name := range n.names {
			var s string
			text(&s, ok)(n.table[name], bad)
			all[name] = s
		}
		*dst = all
	}
}

// flag reads true or false.
func flag(dst *bool) reader {
	return func(n *node, bad complain) {
		isBool := n.kind == boolNode || n.kind == variableNode && (n.text == "true" || n.text == "false")
		if !isBool {
			bad(n, "%s is neither true nor false; write one of them, without quotes", describe(n))
			return
		}
		*dst = n.text == "true"
	}
}

// whole reads an integer between least and most.
func whole(dst *int, least, most int) reader {
	return func(n *node, bad complain) {
		if n.kind != integerNode && n.kind != variableNode {
			bad(n, "%s is no integer; write it as %d, without quotes", describe(n), *dst)
			return
		}
		base := 0 // as TOML writes it: 0x10, 1_000
		if n.kind == variableNode {
			base = 10 // base 0 would read 010 as eight
		}
		i, err := strconv.ParseInt(n.text, base, 0)
		if err != nil {
			bad(n, "%s is no integer; write one from %d to %d", describe(n), least, most)
			return
		}
		if int(i) < least || int(i) > most {
			bad(n, "%s is out of range; write %d to %d", n.text, least, most)
			return
		}
		*dst = int(i)
	}
}

// mode reads the mode of a file: octal digits in a text, such as "0660". Its owner
// may always read and write.
func mode(dst *fs.FileMode) reader {
	return func(n *node, bad complain) {
		m, err := strconv.ParseUint(strings.TrimPrefix(n.text, "0o"), 8, 32)
		if !isText(n) || err != nil || m > 0o777 {
			bad(n, `%s is no mode of a file; write it in octal digits, such as "0660"`, describe(n))
			return
		}
		if m&0o600 != 0o600 {
			bad(n, `%s keeps the server itself out; write "0600", or "0660" for a group`, describe(n))
			return
		}
		*dst = fs.FileMode(m)
	}
}

// number reads an integer or a decimal fraction between least and most.
func number(dst *float64, least, most float64) reader {
	return func(n *node, bad complain) {
		if n.kind != integerNode && n.kind != floatNode && n.kind != variableNode {
			bad(n, "%s is no number; write it as %s, without quotes", describe(n), plain(*dst))
			return
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
		if err != nil || math.IsNaN(f) {
			bad(n, "%s is no number; write one from %s to %s", describe(n), plain(least), plain(most))
			return
		}
		if f < least || f > most {
			bad(n, "%s is out of range; write %s to %s", n.text, plain(least), plain(most))
			return
		}
		*dst = f
	}
}

// plain prints a number without an exponent.
func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// span reads a duration between least and most, such as "90s" or "1h30m".
func span(dst *time.Duration, least, most time.Duration) reader {
	example := short(*dst)
	if *dst == 0 {
		example = "1s"
	}
	return func(n *node, bad complain) {
		d, err := time.ParseDuration(n.text)
		if !isText(n) || err != nil {
			if better := guessSpan(n.text); better != "" {
				example = better
			}
			bad(n, "%s is no duration; write it as %q", describe(n), example)
			return
		}
		if d < least || d > most {
			bad(n, "%s is out of range; write %q to %q", quote(n.text), short(least), short(most))
			return
		}
		*dst = d
	}
}

var (
	spanWords = regexp.MustCompile(`^\s*(\d{1,6})\s*([A-Za-z]*)\s*$`)
	sizeWords = regexp.MustCompile(`^\s*(\d{1,15})\s*([A-Za-z]*)\s*$`)
	rateWords = regexp.MustCompile(`^\s*(\d{1,9})\s*(?:/|per)?\s*([A-Za-z]*)\s*$`)
)

// guessSpan turns "5 minutes" into "5m"; "" means it has no idea.
func guessSpan(text string) string {
	m := spanWords.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	unit := strings.ToLower(m[2])
	switch {
	case unit == "ms", strings.HasPrefix(unit, "milli"):
		return m[1] + "ms"
	case unit == "", strings.HasPrefix(unit, "s"):
		return m[1] + "s"
	case strings.HasPrefix(unit, "m") && !strings.HasPrefix(unit, "mo"):
		return m[1] + "m"
	case strings.HasPrefix(unit, "h"):
		return m[1] + "h"
	case strings.HasPrefix(unit, "d"):
		days, _ := strconv.Atoi(m[1])
		return strconv.Itoa(days*24) + "h"
	}
	return ""
}

// short prints a duration without the zero units that String appends.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// bytesIn are the units a size may have.
var bytesIn = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// size reads a number of bytes: an integer, or a text with KiB, MiB or GiB.
func size(dst *int, least, most int) reader {
	return func(n *node, bad complain) {
		v := int64(*dst)
		readSize(&v, int64(least), int64(most), n, bad)
		*dst = int(v)
	}
}

// budget reads a size or "auto", which is 0.
func budget(dst *int64, least, most int64) reader {
	return func(n *node, bad complain) {
		if isText(n) && n.text == "auto" {
			*dst = 0
			return
		}
		readSize(dst, least, most, n, bad)
	}
}

func readSize(dst *int64, least, most int64, n *node, bad complain) {
	size, ok := int64(0), false
	switch n.kind {
	case integerNode:
		i, err := strconv.ParseInt(n.text, 0, 64)
		size, ok = i, err == nil
	case stringNode, variableNode:
		size, ok = parseSize(n.text)
	}
	if !ok {
		example := "8MiB"
		if m := sizeWords.FindStringSubmatch(n.text); m != nil && m[2] != "" {
			if unit := nearest(m[2], []string{"KiB", "MiB", "GiB"}); unit != "" {
				example = m[1] + unit
			}
		}
		bad(n, "%s is no size; write it as %q", describe(n), example)
		return
	}
	if size < least || size > most {
		bad(n, "%s is out of range; write %q to %q", describe(n), shortSize(least), shortSize(most))
		return
	}
	*dst = size
}

// parseSize reads "8MiB", "512 KiB" or "4096".
func parseSize(text string) (int64, bool) {
	m := sizeWords.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	count, err := strconv.ParseInt(m[1], 10, 64)
	unit := bytesIn[m[2]]
	if m[2] == "" {
		unit = 1
	}
	if err != nil || unit == 0 || count > math.MaxInt64/unit {
		return 0, false
	}
	return count * unit, true
}

func shortSize(size int64) string {
	for _, unit := range []string{"GiB", "MiB", "KiB"} {
		if size >= bytesIn[unit] && size%bytesIn[unit] == 0 {
			return strconv.FormatInt(size/bytesIn[unit], 10) + unit
		}
	}
	return strconv.FormatInt(size, 10)
}

// windows are the units a rate may have.
var windows = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// rate reads "100/s", "5000/m" or "1/h".
func rate(dst *Rate) reader {
	return func(n *node, bad complain) {
		count, unit, _ := strings.Cut(n.text, "/")
		c, err := strconv.ParseUint(count, 10, 31)
		window, known := windows[unit]
		if !isText(n) || err != nil || !known {
			example := "100/s"
			if m := rateWords.FindStringSubmatch(n.text); m != nil {
				per := "s"
				if m[2] != "" && windows[strings.ToLower(m[2][:1])] > 0 {
					per = strings.ToLower(m[2][:1])
				}
				example = m[1] + "/" + per
			}
			bad(n, "%s is no rate; write it as %q, with s, m or h", describe(n), example)
			return
		}
		if c == 0 || c > 1_000_000_000 {
			bad(n, `%s is out of range; write "1/h" to "1000000000/s"`, quote(n.text))
			return
		}
		*dst = Rate{Count: int(c), Window: window}
	}
}

// anything accepts every text.
func anything(string) string { return "" }

// filled refuses the empty text.
func filled(text string) string {
	if strings.TrimSpace(text) == "" {
		return "is empty; write a value or leave the key out"
	}
	return ""
}

// oneOf accepts the given words.
func oneOf(words ...string) check {
	return func(text string) string {
		for _, w := range words {
			if text == w {
				return ""
			}
		}
		list := `"` + strings.Join(words, `", "`) + `"`
		if meant := nearest(text, words); meant != "" {
			return fmt.Sprintf("is none of %s; did you mean %q?", list, meant)
		}
		return fmt.Sprintf("is none of %s; write one of them", list)
	}
}

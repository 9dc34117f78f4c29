package config

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bytes is a number of bytes, written with or without a unit.
type Bytes int64

// Rate is a count per aligned window, written "100/s" or "5000/m".
type Rate struct {
	Count  int
	Window time.Duration
}

// windows are the units a rate may have.
var windows = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// notation is how the numbers of a type are written.
type notation[T cmp.Ordered] struct {
	noun string
	// types are the nodes that may hold one, besides variables.
	types []nodeType
	parse func(n *node) (T, bool)
	// quoted tells that a value stands in quotes.
	quoted bool
	// guess is what a text that is no such number may have meant, "" for no idea.
	guess func(text string) string
	// example is for keys without a default.
	example string
}

// The notations of all types that have bounds.
var (
	integers  = notation[int]{noun: "integer", types: []nodeType{integerNode}, parse: parseInteger}
	decimals  = notation[float64]{noun: "number", types: []nodeType{integerNode, floatNode}, parse: parseDecimal}
	durations = notation[time.Duration]{noun: "duration", types: []nodeType{stringNode}, parse: parseDuration, quoted: true, guess: guessDuration, example: "1s"}
	sizes     = notation[Bytes]{noun: "size", types: []nodeType{stringNode, integerNode}, parse: parseSize, quoted: true, guess: guessSize, example: "8MiB"}
)

// parseInteger reads digits; of TOML also hexadecimal ones and underscores.
func parseInteger(n *node) (int, bool) {
	base := 0 // as TOML writes it: 0x10, 1_000
	if n.typ == variableNode {
		base = 10 // base 0 would read 010 as eight
	}
	i, err := strconv.ParseInt(n.text, base, 0)
	return int(i), err == nil
}

// parseDecimal reads a fraction. NaN is none: it would pass every bound.
func parseDecimal(n *node) (float64, bool) {
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
	return f, err == nil && !math.IsNaN(f)
}

// parseDuration reads numbers with units, such as "1h30m".
func parseDuration(n *node) (time.Duration, bool) {
	d, err := time.ParseDuration(n.text)
	return d, err == nil
}

// bytesIn are the units a size may have.
var bytesIn = map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// parseSize reads 4096, "8MiB" or "512 KiB".
func parseSize(n *node) (Bytes, bool) {
	if n.typ == integerNode {
		i, err := strconv.ParseInt(n.text, 0, 64)
		return Bytes(i), err == nil
	}
	count, unit, ok := sizeWords.parts(n.text)
	i, err := strconv.ParseInt(count, 10, 64)
	// What does not fit an int64 is no size, rather than a negative one.
	per := bytesIn[unit]
	if !ok || err != nil || per == 0 || i > math.MaxInt64/per {
		return 0, false
	}
	return Bytes(i * per), true
}

// countAndUnit is a count and a unit, however they are put together.
type countAndUnit struct{ *regexp.Regexp }

var (
	durationWords = countAndUnit{regexp.MustCompile(`^\s*(\d{1,6})\s*([A-Za-z]*)\s*$`)}
	sizeWords     = countAndUnit{regexp.MustCompile(`^\s*(\d{1,15})\s*([A-Za-z]*)\s*$`)}
	rateWords     = countAndUnit{regexp.MustCompile(`^\s*(\d{1,9})\s*(?:/|per)?\s*([A-Za-z]*)\s*$`)}
)

// parts splits a text, or tells that it has another form.
func (c countAndUnit) parts(text string) (count, unit string, ok bool) {
	if m := c.FindStringSubmatch(text); m != nil {
		return m[1], m[2], true
	}
	return "", "", false
}

// guessDuration turns "5 minutes" into "5m".
func guessDuration(text string) string {
	count, unit, ok := durationWords.parts(text)
	unit = strings.ToLower(unit)
	switch {
	case !ok:
		return ""
	case unit == "ms", strings.HasPrefix(unit, "milli"):
		return count + "ms"
	case unit == "":
		return count + "s"
	case strings.HasPrefix(unit, "d"):
		days, _ := strconv.Atoi(count)
		return fmt.Sprintf("%dh", days*24)
	case windows[unit[:1]] > 0 && !strings.HasPrefix(unit, "mo"):
		return count + unit[:1]
	}
	return ""
}

// guessSize turns "8MB" into "8MiB".
func guessSize(text string) string {
	count, unit, _ := sizeWords.parts(text)
	if unit == "" {
		return ""
	}
	if meant := Nearest(unit, []string{"KiB", "MiB", "GiB"}); meant != "" {
		return count + meant
	}
	return ""
}

// guessRate turns "100 per second" into "100/s".
func guessRate(text string) string {
	count, unit, ok := rateWords.parts(text)
	switch unit = strings.ToLower(unit); {
	case !ok:
		return ""
	case unit != "" && windows[unit[:1]] > 0:
		return count + "/" + unit[:1]
	}
	return count + "/s"
}

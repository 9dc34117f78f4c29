package handlers

import (
	"bytes"
	"time"

	"hearth/cache"
	"hearth/internal/framing"
)

// directives are what a reader can ask of freshness, as a set: the directives of
// Cache-Control in a request (RFC 9111, 5.2.1), and the version of a write.
type directives uint8

// The directives. The others of the RFC, no-store and no-transform, ask for nothing that a
// cache of finished answers does; they are ignored, as unknown ones are.
const (
	noCache directives = 1 << iota
	maxAge
	minFresh
	maxStale
	onlyIfCached
	version
)

// directiveNames are their names in the order of their bits: in requests, but for the
// version, which has a field of its own, and in metrics.
var directiveNames = [...]string{"no-cache", "max-age", "min-fresh", "max-stale", "only-if-cached", "version"}

// addDirectives adds what a line of Cache-Control asks for to d. seen are the directives of
// the lines before it. Of a directive that comes twice the stricter one counts, and one
// whose argument is no number of seconds is taken at its strictest: to ignore it could
// answer older than was asked for.
func addDirectives(d *cache.Demand, seen directives, line []byte) directives {
	for len(line) > 0 {
		var name, argument []byte
		if name, argument, line = cutDirective(line); len(name) == 0 {
			continue
		}
		one := directiveOf(name)
		switch one {
		case noCache:
			d.Aged, d.MaxAge = true, 0
		case maxAge:
			age, _ := deltaSeconds(argument)
			if d.Aged {
				age = min(age, d.MaxAge)
			}
			d.Aged, d.MaxAge = true, age
		case minFresh:
			left, ok := deltaSeconds(argument)
			if !ok {
				left = mostSeconds * time.Second
			}
			d.MinFresh = max(d.MinFresh, left)
		case maxStale:
			d.MaxStale = stricterStale(d.MaxStale, argument, seen&maxStale != 0)
		case onlyIfCached:
			d.OnlyIfCached = true
		}
		seen |= one
	}
	return seen
}

// stricterStale is the staleness that a max-stale allows, beside one before it. Without an
// argument it is any, which is negative.
func stricterStale(before time.Duration, argument []byte, again bool) time.Duration {
	stale := time.Duration(-1)
	if argument != nil {
		stale, _ = deltaSeconds(argument)
	}
	switch {
	case !again || before < 0:
		return stale
	case stale < 0:
		return before
	}
	return min(before, stale)
}

// directiveOf finds a directive by its name, whatever its case; 0 is none that counts.
func directiveOf(name []byte) directives {
	for bit, known := range directiveNames[:len(directiveNames)-1] {
		if len(name) == len(known) && bytes.EqualFold(name, []byte(known)) {
			return 1 << bit
		}
	}
	return 0
}

// cutDirective cuts the first directive off a list. The argument is nil without an equals
// sign, and not nil behind one. A quoted argument comes without its quotes, and with the
// backslashes in it, which no number has. A quote that nobody closes ends at the next
// comma: what stands behind it may be a directive.
func cutDirective(list []byte) (name, argument, rest []byte) {
	end := bytes.IndexAny(list, ",=")
	if end < 0 {
		return framing.Trim(list), nil, nil
	}
	name, rest = framing.Trim(list[:end]), list[end+1:]
	if list[end] == ',' {
		return name, nil, rest
	}
	if quoted := endOfQuoted(rest); quoted > 0 {
		behind, after, _ := bytes.Cut(rest[quoted:], comma)
		argument = rest[1 : quoted-1]
		if len(framing.Trim(behind)) > 0 {
			argument = rest[:quoted] // with its quotes it is no number
		}
		return name, argument, after
	}
	argument, rest, _ = bytes.Cut(rest, comma)
	return name, bytes.TrimRight(argument, " \t"), rest
}

// endOfQuoted is where the quoted string ends that b begins with (RFC 9110, 5.6.4); 0 if it
// begins with none.
func endOfQuoted(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// mostSeconds is what greater numbers of seconds count as (RFC 9111, 1.2.2).
const mostSeconds = 1 << 31

// deltaSeconds reads a number of seconds (RFC 9111, 1.2.2): digits alone.
func deltaSeconds(digits []byte) (d time.Duration, ok bool) {
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(10*n+int64(c-'0'), mostSeconds)
	}
	return time.Duration(n) * time.Second, len(digits) > 0
}

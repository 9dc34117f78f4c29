package origin

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"hearth/internal/source"
)

// What may be kept, by RFC 9111 and RFC 9110, 12.5.5, read as a cache that many
// clients share. Two things are told apart.
//
// Whom an answer is for is always obeyed: what may not be shared is not kept, and
// only the reader whose request it was gets it. That clients are not named to an
// origin changes nothing. An answer may be good for one use alone.
//
// How long an answer is good is the configuration's affair (ttl), unless it leaves
// that to the origin (obey_max_age): frameworks write no-cache and max-age=0 on all
// that they send, and whoever configures a ttl here has decided otherwise.

// fitsAll are request headers that do not make an answer one client's. This server
// asks for JSON and for any coding always, and answers for those two itself; the
// others are about the pages that may read an answer (CORS), which it also decides
// by itself. Names are in lower case.
var fitsAll = map[string]bool{
	"accept": true, "accept-encoding": true,
	"origin": true, "access-control-request-method": true, "access-control-request-headers": true,
}

// termOf reads the header of an answer. With obey it also tells how long the origin
// says that the answer is good.
func termOf(h http.Header, obey bool, now time.Time) source.Term {
	d := directivesOf(h)
	switch {
	case d.noStore:
		return source.Term{Unshared: "Cache-Control: no-store"}
	case d.private:
		return source.Term{Unshared: "Cache-Control: private"}
	case len(h.Values("Set-Cookie")) > 0:
		return source.Term{Unshared: "Set-Cookie"}
	}
	for _, line := range h.Values("Vary") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.ToLower(strings.Trim(name, " \t")); name != "" && !fitsAll[name] {
				return source.Term{Unshared: "Vary: " + printable(name)}
			}
		}
	}
	if !obey {
		return source.Term{}
	}
	life, given := lifeOf(h, d, now)
	switch {
	case !given:
		return source.Term{}
	case life <= 0:
		return source.Term{Unshared: "its lifetime is over (max-age, s-maxage, Expires, Age or no-cache)"}
	}
	return source.Term{Most: life}
}

// lifeOf is how long an answer is good from now on, by RFC 9111, 4.2.1 to 4.2.3. given
// is false where the origin says nothing of it. A value that does not parse counts as
// over.
func lifeOf(h http.Header, d directives, now time.Time) (life time.Duration, given bool) {
	switch {
	case d.noCache:
		return 0, true
	case d.sMaxAge != "":
		life = seconds(d.sMaxAge)
	case d.maxAge != "":
		life = seconds(d.maxAge)
	case len(h.Values("Expires")) > 0:
		expires, err := http.ParseTime(h.Get("Expires"))
		if err != nil {
			return 0, true
		}
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date // the origin's clock against itself
		}
		life = expires.Sub(now)
	default:
		return 0, false
	}
	return life - max(seconds(h.Get("Age")), 0), true
}

// directives are what Cache-Control says, as far as it matters here.
type directives struct {
	noStore, private, noCache bool
	maxAge, sMaxAge           string // the least of several
}

// directivesOf reads Cache-Control. A directive that names fields (private="x") is
// about those fields of the header, none of which is kept here.
func directivesOf(h http.Header) (d directives) {
	for _, line := range h.Values("Cache-Control") {
		for name, arg := range elements(line) {
			switch name {
			case "no-store":
				d.noStore = true
			case "private":
				d.private = d.private || arg == ""
			case "no-cache":
				d.noCache = d.noCache || arg == ""
			case "max-age":
				d.maxAge = least(d.maxAge, arg)
			case "s-maxage":
				d.sMaxAge = least(d.sMaxAge, arg)
			}
		}
	}
	return d
}

// elements yields the directives of a list: the name in lower case, and what stands
// behind its "=", without quotes. A comma within quotes ends nothing.
func elements(list string) func(yield func(name, arg string) bool) {
	return func(yield func(name, arg string) bool) {
		for list != "" {
			end, quoted := 0, false
			for end < len(list) && (quoted || list[end] != ',') {
				if list[end] == '"' {
					quoted = !quoted
				}
				end++
			}
			element := list[:end]
			list = strings.TrimPrefix(list[end:], ",")
			name, arg, _ := strings.Cut(element, "=")
			arg = strings.Trim(strings.Trim(arg, " \t"), `"`)
			if !yield(strings.ToLower(strings.Trim(name, " \t")), arg) {
				return
			}
		}
	}
}

// least returns the shorter of two lifetimes, as they are written; "" is none.
func least(a, b string) string {
	if b == "" {
		b = "0" // the directive is there and says nothing
	}
	if a == "" || seconds(b) < seconds(a) {
		return b
	}
	return a
}

// seconds reads a delta-seconds; what is none is 0, and what is too large a year, which
// is beyond every lifetime.
func seconds(text string) time.Duration {
	const year = 365 * 24 * time.Hour
	n, err := strconv.ParseUint(strings.Trim(text, " \t"), 10, 63)
	switch {
	case err != nil && len(text) > 9 && strings.Trim(text, "0123456789") == "", n > uint64(year/time.Second):
		return year
	case err != nil:
		return 0
	}
	return time.Duration(n) * time.Second
}

// printable keeps what a log line cannot show out of it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, text[:min(len(text), 40)])
}

// retryAfter is how long an answer asks to be left alone; 0 if it does not.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return seconds(text)
}

package config

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// checkName accepts what resources, limits and tokens are called: it appears in
// labels of metrics and in documents made from the configuration.
func checkName(text string) string {
	if !name.MatchString(text) || len(text) > 64 {
		return `is no name; use lower-case letters, digits and _, a letter first, at most 64, such as "user"`
	}
	return ""
}

// minToken is the least length of a bearer token in characters.
const minToken = 16

// checkToken accepts bearer tokens; its complaints never quote them.
func checkToken(text string) string {
	if len(text) < minToken {
		return fmt.Sprintf("has fewer than %d characters; take a longer one, such as the output of `openssl rand -hex 32`", minToken)
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return "has a character no header can carry; use visible ASCII characters without spaces"
		}
	}
	return ""
}

var envelope = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// checkEnvelope accepts the member that wraps a record, or "".
func checkEnvelope(text string) string {
	switch {
	case text == "":
		return ""
	case text == "source":
		return "is the member that tells the source; take another one"
	case !envelope.MatchString(text) || len(text) > 64:
		return `is no member name; use letters, digits, _ and -, at most 64, or "" for the bare data`
	}
	return ""
}

// checkColumn accepts the name of a result's column, or "".
func checkColumn(text string) string {
	if strings.TrimSpace(text) != text || len(text) > 256 || strings.ContainsFunc(text, unicode.IsControl) {
		return `is no column's name; write it as select returns it, such as "email"`
	}
	return ""
}

// checkHeaderValue accepts the value of a response header.
func checkHeaderValue(text string) string {
	if strings.TrimSpace(text) != text || text == "" {
		return `is empty or has spaces around it; write it as "no-cache"`
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return `has a character no header can carry; write it as "no-cache"`
		}
	}
	return ""
}

// checkHeader accepts the name of a header, or "*".
func checkHeader(text string) string {
	if !isToken(text) {
		return `is no header name; write it as "Content-Type", or "*" for all`
	}
	return ""
}

// isToken tells whether text is a token as of RFC 9110, section 5.6.2.
func isToken(text string) bool {
	if text == "" {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !nameRune(rune(c)) && !strings.ContainsRune("!#$%&'*+.^`|~", rune(c)) {
			return false
		}
	}
	return true
}

// checkMethod accepts the methods the server knows, or "*".
func checkMethod(text string) string {
	wrong := oneOf("*", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions)(text)
	if upper := strings.ToUpper(text); wrong != "" && upper != text && checkMethod(upper) == "" {
		return fmt.Sprintf("is in lower case; write it as %q", upper)
	}
	return wrong
}

// checkBy accepts what a limit counts by.
func checkBy(text string) string {
	if header, isHeader := strings.CutPrefix(text, "header:"); isHeader && header != "*" && isToken(header) {
		return ""
	}
	if text == "client" || text == "global" {
		return ""
	}
	if meant := nearest(text, []string{"client", "global"}); meant != "" {
		return fmt.Sprintf("is no way to count; did you mean %q?", meant)
	}
	return `is no way to count; write "client", "global" or "header:X-Api-Key"`
}

// placeholder is a {parameter} of an origin.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// checkURLTemplate accepts http and https URLs with placeholders outside the
// host: a host from a request would let clients choose whom the server asks.
func checkURLTemplate(text string) string {
	const form = `is no URL; write it as "https://records.example.org/users/{user_id}"`
	if strings.ContainsAny(placeholder.ReplaceAllString(text, ""), "{}") {
		return "has a brace that is part of no {parameter}; use braces for the path's parameters only"
	}
	u, err := url.Parse(placeholder.ReplaceAllString(text, "0"))
	switch {
	case err != nil:
		return form
	case u.Scheme != "http" && u.Scheme != "https":
		return `begins with neither http:// nor https://; write it as "https://records.example.org/users/{user_id}"`
	case u.Hostname() == "":
		return form
	case u.Fragment != "":
		return "has a fragment, which is never sent; remove the part from # on"
	}
	_, rest, _ := strings.Cut(text, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[:i]
	}
	if strings.Contains(rest, "{") {
		return "has a parameter in its host; use parameters behind the host only"
	}
	return ""
}

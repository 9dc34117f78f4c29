package config

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// check returns "" for a good text, else what is wrong with it and what to write
// instead.
type check func(text string) (wrong string)

// checks are what the tag check names.
var checks = map[string]check{
	"address":      checkAddress,
	"bearer":       checkBearer,
	"by":           checkBy,
	"column":       checkColumn,
	"database":     checkDatabase,
	"envelope":     checkEnvelope,
	"filled":       filled,
	"header":       checkHeader,
	"header value": checkHeaderValue,
	"host":         checkHost,
	"method":       checkMethod,
	"name":         checkName,
	"origin":       checkOrigin,
	"redis":        checkRedis,
	"table":        checkTable,
	"title":        checkTitle,
	"token":        checkToken,
	"watched":      checkWatched,
}

// filled refuses the empty text.
func filled(text string) string {
	if strings.TrimSpace(text) == "" {
		return "is empty; write a value or leave the key out"
	}
	return ""
}

// checkTitle accepts a heading: one line, and no longer than a heading is.
func checkTitle(text string) string {
	const longest = 80
	switch {
	case strings.TrimSpace(text) == "":
		return filled(text)
	case strings.ContainsFunc(text, unicode.IsControl):
		return "has control characters; write one line of text"
	case utf8.RuneCountInString(text) > longest:
		return fmt.Sprintf("has more than %d characters; write a shorter one", longest)
	}
	return ""
}

// oneOf accepts the given words.
func oneOf(words ...string) check {
	return func(text string) string {
		if slices.Contains(words, text) {
			return ""
		}
		list := `"` + strings.Join(words, `", "`) + `"`
		if meant := Nearest(text, words); meant != "" {
			return fmt.Sprintf("is none of %s; did you mean %q?", list, meant)
		}
		return fmt.Sprintf("is none of %s; write one of them", list)
	}
}

// namePattern is a name that fits labels, file names and identifiers alike.
var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// checkName accepts what resources, limits and tokens are called: it appears in
// labels of metrics and in documents made from the configuration.
func checkName(text string) string {
	if !namePattern.MatchString(text) || len(text) > 64 {
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

// checkBearer accepts a token that this server presents to another one, whatever its
// length; its complaints never quote it.
func checkBearer(text string) string {
	if !bearer.MatchString(text) {
		return "is no bearer token; use letters, digits and -._~+/, with = at the end only"
	}
	return ""
}

// bearer is a token68 (RFC 9110, 11.2).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// envelope is what a member of an answer may be called.
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

// checkWatched accepts the name of a table's column.
func checkWatched(text string) string {
	if wrong := checkColumn(text); wrong != "" || text == "" {
		return `is no column's name; write it as the table has it, without quotes, such as "user_id"`
	}
	return ""
}

// checkTable accepts the name of a table, perhaps with its schema. What quotes and dots
// mean is for the database to say.
func checkTable(text string) string {
	if strings.TrimSpace(text) != text || text == "" || len(text) > 256 || strings.ContainsFunc(text, unicode.IsControl) {
		return `is no table's name; write it as "orders" or "shop.orders"`
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
	if meant := Nearest(text, []string{"client", "global"}); meant != "" {
		return fmt.Sprintf("is no way to count; did you mean %q?", meant)
	}
	return `is no way to count; write "client", "global" or "header:X-Api-Key"`
}

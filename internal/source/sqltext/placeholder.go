package sqltext

import (
	"regexp"
	"strings"
)

// A placeholder is {name} or {name.member.member}; a question mark before the
// closing brace says that the member may be missing.
const placeholderPattern = `\{[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*\??\}`

var (
	placeholderHere     = regexp.MustCompile(`^` + placeholderPattern)
	placeholderAnywhere = regexp.MustCompile(placeholderPattern)
)

// namesOf splits a placeholder into its names and whether it may be missing.
func namesOf(placeholder string) (names []string, optional bool) {
	inner, optional := strings.CutSuffix(placeholder[1:len(placeholder)-1], "?")
	return strings.Split(inner, "."), optional
}

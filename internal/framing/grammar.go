package framing

import "regexp"

// The grammar of what stands between and behind chunks. Expressions of the standard
// library take time in proportion to the text, which is bounded, and hardly any for
// the empty one that clients send.
const (
	token   = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"                       // RFC 9110, 5.6.2
	control = `\x00-\x08\x0a-\x1f\x7f`                            // what no value may hold; a tab is allowed
	quoted  = `"(?:[^"\\` + control + `]|\\[^` + control + `])*"` // RFC 9110, 5.6.4
	blanks  = `[ \t]*`                                            // BWS
)

var (
	// chunkExt is the rule of that name of RFC 9112, 7.1.1.
	chunkExt = regexp.MustCompile(`^(?:` + blanks + `;` + blanks + token +
		`(?:` + blanks + `=` + blanks + `(?:` + token + `|` + quoted + `))?)*$`)
	// fieldLine is a trailer (RFC 9112, 5) with its name as the first group.
	fieldLine = regexp.MustCompile(`^(` + token + `):[^` + control + `]*$`)
)

// lengthBits bounds lengths, so that no sum of two overflows.
const lengthBits = 62

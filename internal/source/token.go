package source

import "strings"

// tokenKind says what a token of a statement is.
type tokenKind int

const (
	wordToken   tokenKind = iota // a keyword or a name without quotes
	nameToken                    // a name in quotes, without them
	textToken                    // a string
	holeToken                    // a placeholder
	symbolToken                  // an operator, a bracket, a comma
)

// token is a word of a statement, as far as finding columns takes.
type token struct {
	kind  tokenKind
	text  string
	param int // of a holeToken: the path parameter, or -1
}

// is tells whether the token is the keyword or the symbol, in any case.
func (t token) is(text string) bool {
	return (t.kind == wordToken || t.kind == symbolToken) && strings.EqualFold(t.text, text)
}

func (t token) isName() bool { return t.kind == wordToken || t.kind == nameToken }

// tokens cuts pieces into words. Comments are left out.
func tokens(pieces []piece, params []Param) []token {
	var all []token
	for _, p := range pieces {
		switch p.kind {
		case plainPiece:
			all = append(all, plainTokens(p.text)...)
		case quotedPiece:
			all = append(all, quotedToken(p.text))
		case holePiece:
			names, _ := parts(p.text)
			all = append(all, token{kind: holeToken, text: p.text, param: paramIndex(params, names[0])})
		}
	}
	return all
}

func plainTokens(text string) (all []token) {
	const operators = "<>=!:"
	for i := 0; i < len(text); {
		c, end := text[i], i+1
		switch {
		case isSpace(c):
			i = end
			continue
		case isNameByte(c):
			for end < len(text) && isNameByte(text[end]) {
				end++
			}
			all = append(all, token{kind: wordToken, text: text[i:end]})
		case strings.IndexByte(operators, c) >= 0:
			for end < len(text) && strings.IndexByte(operators, text[end]) >= 0 {
				end++
			}
			all = append(all, token{kind: symbolToken, text: text[i:end]})
		default:
			all = append(all, token{kind: symbolToken, text: text[i:end]})
		}
		i = end
	}
	return all
}

// quotedToken tells names from texts. MySQL's double quotes hold text unless
// ANSI_QUOTES is on; taken for a name, such a text is one that no column has.
func quotedToken(text string) token {
	if len(text) < 2 || text[0] == '\'' || text[0] == '$' {
		return token{kind: textToken, text: text}
	}
	quote := text[len(text)-1:]
	return token{kind: nameToken, text: strings.ReplaceAll(text[1:len(text)-1], quote+quote, quote)}
}

// closing returns the index of the bracket that closes the one at open, or -1.
func closing(all []token, open int) int {
	depth := 0
	for i := open; i < len(all); i++ {
		switch {
		case all[i].is("("):
			depth++
		case all[i].is(")"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// opening returns the index of the bracket that the one at end closes, or -1.
func opening(all []token, end int) int {
	depth := 0
	for i := end; i >= 0; i-- {
		switch {
		case all[i].is(")"):
			depth++
		case all[i].is("("):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

package sqltext

import (
	"fmt"
	"slices"
	"strings"
)

// A lexemeKind says what a lexeme is.
type lexemeKind int

const (
	none         lexemeKind = iota // behind the end of a phrase, and before it
	word                           // a keyword, a name without quotes, or a number
	quotedName                     // a name in quotes
	doubleQuoted                   // MySQL's "…": a string, or with ANSI_QUOTES a name
	literal                        // a string
	placeholder                    // {name}
	sign                           // an operator, a bracket, a comma, or any other byte
	comment
)

// lexeme is the smallest piece of a statement that means something. Between two
// of them stands nothing but white space; so their places, and not copies of the
// text, tell what is to be sent to the database.
type lexeme struct {
	kind     lexemeKind
	text     string // as it is written; of a name in quotes without them
	from, to int    // where it stands in the text
	slot     int    // of a placeholder: how many stand before it
	pair     int    // of a bracket: the distance to its partner, or 0
	inner    bool   // it stands within a select that is part of another statement
}

// is tells whether the lexeme is a keyword or a sign, in any case.
func (l lexeme) is(text string) bool {
	return (l.kind == word || l.kind == sign) && strings.EqualFold(l.text, text)
}

// oneOf tells whether the lexeme is one of these keywords or signs.
func (l lexeme) oneOf(texts ...string) bool { return slices.ContainsFunc(texts, l.is) }

// isName tells whether the lexeme may be a name. Keywords are not told apart.
func (l lexeme) isName() bool { return l.kind == word || l.kind == quotedName }

// mayBeName takes MySQL's double quotes for those of a name. If they hold a
// text, it is the name of no column.
func (l lexeme) mayBeName() bool { return l.isName() || l.kind == doubleQuoted }

// isNumber tells a number from a name; no name begins with a digit.
func (l lexeme) isNumber() bool { return l.kind == word && isDigit(l.text[0]) }

// phrase is a stretch of a statement. What is read of it is read by place, so that
// a reader can look around a lexeme, and behind it: at, encloses and list bear
// places that do not exist.
type phrase []lexeme

// at returns a lexeme of no kind where the phrase has none.
func (p phrase) at(i int) lexeme {
	if i < 0 || i >= len(p) {
		return lexeme{}
	}
	return p[i]
}

// encloses tells whether the bracket that opens at i is closed by the end of
// the phrase.
func (p phrase) encloses(i int) bool { return p.at(i).pair > 0 && i+p[i].pair == len(p)-1 }

// list reads items with commas between them up to a closing bracket, one of
// the words, a semicolon or the end, which it does not step over.
func (p phrase) list(i int, ends ...string) (items []phrase, end int) {
	start := i
	for ; i < len(p); i++ {
		switch l := p[i]; {
		case l.pair > 0:
			i += l.pair
		case l.is(","):
			items = append(items, p[start:i])
			start = i + 1
		case l.oneOf(")", ";"), l.oneOf(ends...):
			return append(items, p[start:i]), i
		}
	}
	return append(items, p[min(start, len(p)):]), len(p)
}

// read returns the lexemes of a text without its comments.
func read(d Dialect, text string) (phrase, error) {
	all, err := lex(d, text)
	if err != nil {
		return nil, err
	}
	return all.linked(), nil
}

// linked drops the comments and finds, in one walk, the partner of each bracket
// and what stands within inner selects. A bracket without a partner stays a sign
// like any other: the database will refuse the statement.
func (p phrase) linked() phrase {
	p = slices.DeleteFunc(p, func(l lexeme) bool { return l.kind == comment })
	type bracket struct {
		at    int
		inner bool // of what stands around it
	}
	var open []bracket
	inner := false
	for i := range p {
		p[i].inner = inner
		switch l := p[i]; {
		case l.is("("):
			open = append(open, bracket{i, inner})
		case l.is(")") && len(open) > 0:
			last := open[len(open)-1]
			open = open[:len(open)-1]
			p[last.at].pair, p[i].pair = i-last.at, last.at-i
			inner = last.inner
		case l.is("SELECT") && len(open) > 0:
			inner = true
		}
	}
	return p
}

// operators of more than one byte, the longer of two that begin alike first.
var operators = []string{"<=>", "<=", ">=", "<>", "!=", "==", "::", ":="}

// lex cuts a text into lexemes. The error is about a quote or a comment that does
// not end. Nothing else is refused here: whether the rest is SQL is for the
// database to say.
//
// Where quotes and comments end has to be known exactly, for every dialect: a
// placeholder that was taken for text would never be bound, and text that was
// taken for a placeholder would be cut out of the statement.
func lex(d Dialect, source string) (all phrase, err error) {
	g := &grammars[d]
	placeholders := 0
	for at := 0; at < len(source); {
		if isSpace(source[at]) {
			at++
			continue
		}
		kind, end, err := g.lexeme(source, at)
		if err != nil {
			return nil, err
		}
		l := lexeme{kind: kind, text: source[at:end], from: at, to: end}
		switch kind {
		case placeholder:
			l.slot = placeholders
			placeholders++
		case quotedName, doubleQuoted:
			closer := l.text[len(l.text)-1:]
			l.text = strings.ReplaceAll(l.text[1:len(l.text)-1], closer+closer, closer)
		}
		all = append(all, l)
		at = end
	}
	return all, nil
}

// lexeme returns what stands at source[at], and where it ends. A dollar within a
// name is part of it, so that only one at the beginning may open a quote.
func (g *grammar) lexeme(source string, at int) (kind lexemeKind, end int, err error) {
	c, rest := source[at], source[at:]
	if closer := g.closer(c); closer != 0 {
		end, err = g.quoted(source, at, closer)
		switch {
		case c == '\'':
			return literal, end, err
		case strings.IndexByte(g.backslashes, c) >= 0:
			return doubleQuoted, end, err
		}
		return quotedName, end, err
	}
	switch {
	case c == '{':
		if n := len(placeholderHere.FindString(rest)); n > 0 {
			return placeholder, at + n, nil
		}
	case c == '#' && g.hashComments, strings.HasPrefix(rest, "--") && (!g.spacedDashes || len(rest) == 2 || rest[2] <= ' '):
		line, _, _ := strings.Cut(rest, "\n")
		return comment, min(at+len(line)+1, len(source)), nil
	case strings.HasPrefix(rest, "/*"):
		end, err = g.block(source, at)
		return comment, end, err
	case c == '$' && g.dollarQuotes:
		if end, err = dollars(source, at); end > at || err != nil {
			return literal, end, err
		}
	}
	if isNameByte(c) {
		for end = at + 1; end < len(source) && isNameByte(source[end]); end++ {
		}
		return word, end, nil
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			return sign, at + len(o), nil
		}
	}
	return sign, at + 1, nil
}

// quoted returns the end of the quoted text that opens at i. A closing quote that
// stands twice is one quote within the text.
func (g *grammar) quoted(source string, i int, closer byte) (int, error) {
	escapes := g.escapes(source, i)
	for j := i + 1; j < len(source); j++ {
		switch {
		case escapes && source[j] == '\\':
			j++
		case source[j] != closer:
		case closer != ']' && j+1 < len(source) && source[j+1] == closer:
			j++ // doubled
		case escapes && g.prefixE && continuation(source, j+1) > 0:
			j = continuation(source, j+1)
		default:
			return j + 1, nil
		}
	}
	return 0, fmt.Errorf("the quote %q at byte %d does not end", source[i:i+1], i)
}

// continuation returns the position of the quote that continues a PostgreSQL
// string whose first part ended before i, or 0: strings with nothing but
// white space and at least one line end between them are one string, and the
// escapes of the first hold for all.
func continuation(source string, i int) int {
	rest := strings.TrimLeft(source[i:], " \t\n\v\f\r")
	next := len(source) - len(rest)
	if strings.HasPrefix(rest, "'") && strings.ContainsAny(source[i:next], "\n\r") {
		return next
	}
	return 0
}

// block returns the end of the comment that opens at i. Hints of an optimizer are
// comments, too: they stay in the statement and name nothing.
func (g *grammar) block(source string, i int) (int, error) {
	depth := 1
	for j := i + 2; j+1 < len(source); j++ {
		switch {
		case source[j:j+2] == "*/":
			j++
			if depth--; depth == 0 {
				return j + 1, nil
			}
		case source[j:j+2] == "/*" && g.nestedComments:
			depth++
			j++
		}
	}
	return 0, fmt.Errorf("the comment at byte %d does not end", i)
}

// dollars returns the end of the dollar-quoted text that opens at i, or i when
// the dollar opens none, as before a number.
func dollars(source string, i int) (int, error) {
	j := i + 1
	for j < len(source) && source[j] != '$' && isNameByte(source[j]) && (j > i+1 || !isDigit(source[j])) {
		j++
	}
	if j == len(source) || source[j] != '$' {
		return i, nil
	}
	tag := source[i : j+1]
	n := strings.Index(source[j+1:], tag)
	if n < 0 {
		return 0, fmt.Errorf("the dollar quote %q at byte %d does not end", tag, i)
	}
	return j + 1 + n + len(tag), nil
}

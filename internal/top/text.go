package top

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"hearth/internal/operator"
)

// alphabet is what texts are written in.
type alphabet struct {
	ascii bool           // the locale has nothing else
	zone  *time.Location // of times of day; nil: this machine's
}

// clean is text of which every character takes one or two places for certain; any other is
// written as an escape of Go, for one that takes none or more than it should would shift all
// that stands behind it.
func (a alphabet) clean(text string) string {
	text = operator.Printable(text)
	if strings.IndexFunc(text, func(r rune) bool { return a.places(r) == 0 }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case a.places(r) > 0:
			b.WriteRune(r)
		case a.ascii && substitutes[r] != 0:
			b.WriteByte(substitutes[r])
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// substitutes stand for what our own texts have beyond ASCII.
var substitutes = map[rune]byte{'µ': 'u', '…': '~', '–': '-', '↓': '*', '∞': '*'}

// narrow are scripts in which every character that is no mark takes one place, and wide those
// in which it takes two, in every terminal. Scripts that are written from right to left, that
// join letters, or whose widths terminals disagree about (pictures) are in neither.
var (
	narrow = &unicode.RangeTable{R16: []unicode.Range16{
		{Lo: 0x0020, Hi: 0x007e, Stride: 1}, // ASCII
		{Lo: 0x00a1, Hi: 0x00ac, Stride: 1}, // Latin-1, without its soft hyphen
		{Lo: 0x00ae, Hi: 0x024f, Stride: 1}, // Latin
		{Lo: 0x0370, Hi: 0x0482, Stride: 1}, // Greek and Cyrillic
		{Lo: 0x048a, Hi: 0x052f, Stride: 1}, // Cyrillic behind its marks
		{Lo: 0x1e00, Hi: 0x1eff, Stride: 1}, // Latin
		{Lo: 0x2013, Hi: 0x2026, Stride: 1}, // dashes, quotes and …
		{Lo: 0x2190, Hi: 0x2193, Stride: 1}, // arrows
		{Lo: 0x221e, Hi: 0x221e, Stride: 1}, // ∞
	}, LatinOffset: 3}
	wide = &unicode.RangeTable{R16: []unicode.Range16{
		{Lo: 0x3001, Hi: 0x3029, Stride: 1}, // CJK punctuation
		{Lo: 0x3041, Hi: 0x3096, Stride: 1}, // Hiragana
		{Lo: 0x30a0, Hi: 0x30ff, Stride: 1}, // Katakana
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1}, // Han
		{Lo: 0x4e00, Hi: 0x9fff, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul syllables
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // Han, compatibility
		{Lo: 0xff01, Hi: 0xff60, Stride: 1}, // full width
	}}
)

// places is how many places of a line a character takes; 0: nobody knows for certain.
func (a alphabet) places(r rune) int {
	switch {
	case r >= ' ' && r <= '~':
		return 1
	case a.ascii || unicode.Is(unicode.M, r):
		return 0
	case unicode.Is(narrow, r):
		return 1
	case unicode.Is(wide, r):
		return 2
	}
	return 0
}

// width is how many places a clean text takes.
func width(text string) (n int) {
	for _, r := range text {
		n += max(1, alphabet{}.places(r))
	}
	return n
}

// fit is a clean text in exactly n places: cut, with a mark, or with blanks behind it.
func (a alphabet) fit(text string, n int) string {
	n = max(n, 0)
	text = a.cut(text, n)
	return text + strings.Repeat(" ", n-width(text))
}

// cut is a clean text in n places at most.
func (a alphabet) cut(text string, n int) string {
	if width(text) <= n {
		return text
	}
	if n <= 0 {
		return ""
	}
	for width(text) > n-1 {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text + a.clean("…")
}

// right is fit with the blanks in front.
func (a alphabet) right(text string, n int) string {
	n = max(n, 0)
	text = a.cut(text, n)
	return strings.Repeat(" ", n-width(text)) + text
}

// wrapped is a clean text in lines of n places at most, but for words that are longer.
func wrapped(text string, n int) (lines []string) {
	for _, word := range strings.Split(text, " ") {
		last := len(lines) - 1
		if last >= 0 && width(lines[last])+1+width(word) <= n {
			lines[last] += " " + word
		} else if last >= 0 {
			lines = append(lines, "  "+word)
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

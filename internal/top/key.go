package top

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Keys that are no characters.
const (
	keyNone rune = -1 - iota
	keyEscape
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
)

// sequences are what terminals send for them, behind ESC [ or ESC O.
var sequences = map[string]rune{
	"A": keyUp, "B": keyDown, "5~": keyPageUp, "6~": keyPageDown,
	"H": keyHome, "1~": keyHome, "7~": keyHome, "F": keyEnd, "4~": keyEnd, "8~": keyEnd,
}

// nextKey is the first key of what was read, and what is behind it. more: perhaps there is more
// of it to come; then nothing is taken. Of sequences that are not known there is keyNone.
func nextKey(in []byte) (key rune, rest []byte, more bool) {
	switch {
	case len(in) == 0:
		return keyNone, nil, true
	case in[0] != '\x1b':
		if !utf8.FullRune(in) {
			return keyNone, in, true
		}
		r, size := utf8.DecodeRune(in)
		return r, in[size:], false
	case len(in) == 1:
		return keyNone, in, true
	case in[1] != '[' && in[1] != 'O':
		return keyEscape, in[1:], false
	}
	end := bytes.IndexFunc(in[2:], func(r rune) bool { return r < '0' || r > ';' })
	if end < 0 {
		if len(in) < 32 {
			return keyNone, in, true
		}
		return keyNone, nil, false
	}
	if key, known := sequences[string(in[2:2+end+1])]; known {
		return key, in[2+end+1:], false
	}
	return keyNone, in[2+end+1:], false
}

const longestFilter = 100 // bytes

// press does what a key is for. It tells whether that is to quit.
func (s *screen) press(key rune) (quit bool) {
	switch {
	case key == keyNone:
	case s.help:
		s.help = false
	case s.typing:
		s.typeKey(key)
	default:
		return s.command(key)
	}
	return false
}

func (s *screen) command(key rune) (quit bool) {
	switch key {
	case 'q', 'Q':
		return true
	case 'r', 'b', 'm', 'l':
		for _, order := range Orders {
			if rune(order[0]) == key {
				s.order, s.offset = order, 0
			}
		}
	case '/':
		s.typing, s.typed = true, s.filter
	case keyEscape:
		s.filter, s.offset = "", 0
	case 'p', ' ':
		if s.frozen == nil {
			frozen := s.live
			s.frozen = &frozen
		} else {
			s.frozen = nil
		}
	case '?', 'h':
		s.help = true
	case keyUp, 'k':
		s.offset--
	case keyDown, 'j':
		s.offset++
	case keyPageUp:
		s.offset -= max(1, s.page)
	case keyPageDown:
		s.offset += max(1, s.page)
	case keyHome, 'g':
		s.offset = 0
	case keyEnd, 'G':
		s.offset = 1 << 20 // there are never so many
	}
	return false
}

// typeKey changes the filter that is being typed.
func (s *screen) typeKey(key rune) {
	s.offset = 0
	switch key {
	case '\r', '\n':
		s.typing, s.filter = false, strings.TrimSpace(s.typed)
	case keyEscape:
		s.typing = false
	case '\x7f', '\b':
		_, size := utf8.DecodeLastRuneInString(s.typed)
		s.typed = s.typed[:len(s.typed)-size]
	case '\x15': // Ctrl-U
		s.typed = ""
	default:
		if key >= 0 && key != utf8.RuneError && unicode.IsPrint(key) && len(s.typed) < longestFilter {
			s.typed += string(key)
		}
	}
}

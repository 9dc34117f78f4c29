package handlers

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds how deep JSON from clients may be nested. Every program that
// reads the stored value later has to descend as far.
const maxDepth = 64

// syntaxFault says in a client's terms why a value was not read. The decoder's own
// texts quote the body, which may be secret, and name its packages.
func syntaxFault(err error) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "has an object with two members of one name"
	case errors.Is(err, io.EOF):
		return "is empty where JSON is expected"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "ends in the middle of its JSON"
	}
	return "is not valid JSON in UTF-8"
}

// deeper tells whether the containers of a valid JSON value are nested more
// than limit levels deep; {} is one level. The decoder has a limit of its own, which
// is far higher and cannot be set.
func deeper(value []byte, limit int) bool {
	// Nearly always the brackets are too few to matter, and counting bytes is
	// many times faster than following strings.
	if bytes.Count(value, []byte("{"))+bytes.Count(value, []byte("[")) <= limit {
		return false
	}
	level, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if level++; level > limit {
				return true
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return false
}

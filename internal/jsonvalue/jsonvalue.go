// Package jsonvalue decides what counts as JSON, once for all rooms. A record
// comes in from a database, an origin, the shared tier, or a client, and goes
// out by every other way; if two of them judged it differently, one would
// refuse what another has just stored, and load it again for every reader.
//
// JSON is one value by the grammar of RFC 8259 and nothing behind it, in UTF-8
// without a byte order mark, nested at most 10,000 levels deep, every string of
// it Unicode: no bytes that are no UTF-8, and no escape of half a surrogate
// pair, for which there are none. An object may have two members of one name:
// that is JSON, if bad JSON, and a record of somebody else's. What clients send
// has to do without them; see handlers and source.
package jsonvalue

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// twins lets two members of one name pass.
var twins = jsontext.AllowDuplicateNames(true)

// scanDepth is how deep values may be nested that the scanner is asked about.
const scanDepth = 64

// Valid tells whether text is JSON. It allocates nothing, and keeps nothing. Nearly all
// texts are what the scanner takes; a decoder judges the others.
func Valid(text []byte) bool {
	s := Scanner{text: text, twins: true}
	if end := s.value(s.Blank(0), scanDepth); end >= 0 && s.Blank(end) == len(text) {
		return true
	}
	return jsontext.Value(text).IsValid(twins)
}

// Compact returns the JSON of text without its white space, in bytes of its
// own. Numbers keep their digits, strings their escapes, members their order.
func Compact(text []byte) ([]byte, error) {
	value := jsontext.Value(bytes.Clone(text))
	// Compact is lenient about strings unless it is told not to be.
	if err := value.Compact(twins, jsontext.AllowInvalidUTF8(false)); err != nil {
		return nil, err
	}
	return value, nil
}

// Mend is Compact for a text that may be JSON but for strings that are not
// Unicode: what is not becomes U+FFFD.
func Mend(text []byte) ([]byte, error) {
	value, err := Compact(text)
	if err == nil {
		return value, nil
	}
	mended := jsontext.Value(bytes.Clone(text))
	if err := mended.Format(twins, jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(false)); err != nil {
		return nil, err
	}
	return mended, nil
}

// Trim takes JSON's white space off both ends; bytes.TrimSpace takes more.
func Trim(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

package source

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// sourceMember is the member that stands beside the record in answers to reads.
const sourceMember = "source"

// unwrap returns the record of a checked body that is a whole answer to a read, as
// {"user":{…},"source":"cache"}, or nil: a client may send back what it got as it
// is. A body that the upsert takes members of these names from is none.
func (r *bodyReader) unwrap(body []byte) []byte {
	if r.envelope == "" || r.known.parts[r.envelope] != nil || r.known.parts[sourceMember] != nil ||
		r.param(r.envelope) >= 0 || r.param(sourceMember) >= 0 {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if _, err := dec.ReadToken(); err != nil {
		return nil
	}
	var record jsontext.Value
	tier := false
	for dec.PeekKind() != jsontext.KindEndObject {
		name, value, err := member(dec)
		switch {
		case err != nil:
			return nil
		case name == r.envelope && value.Kind() == jsontext.KindBeginObject:
			record = value
		case name == sourceMember && (string(value) == `"db"` || string(value) == `"cache"`):
			tier = true
		default:
			return nil
		}
	}
	if !tier {
		return nil
	}
	return record
}

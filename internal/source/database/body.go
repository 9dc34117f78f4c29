package database

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// bodyReader takes the members that an upsert binds out of request bodies, which
// are parsed already (jsonvalue.ParseObject). It is built once per resource and
// holds no state of a request, so concurrent writes share it.
type bodyReader struct {
	fields  []sqltext.Field
	params  []param.Param
	columns map[string]int // columns that are path parameters
	known   *knownMember   // what the fields name
	// envelope is the member that wraps the record in answers to reads, or "".
	envelope string
}

// members are what was found in a body.
type members struct {
	values  []jsontext.Value // of each field; nil for one that is missing
	unknown [][]string       // paths that no field names, the first of them
}

// maxUnknown is how many unknown members are remembered. An error text lists
// them: a body with thousands of stray members must not make an answer of
// thousands of words.
const maxUnknown = 8

// read returns what each field takes. Faults are *BodyError. It looks at types of
// JSON only as far as the paths need them; whether a value fits its column is for
// the engine, which knows the column.
func (r *bodyReader) read(root jsonvalue.Node, args source.Args) (members, error) {
	m := members{values: make([]jsontext.Value, len(r.fields))}
	if record := r.unwrap(root); record != nil {
		root = *record
	}
	// Every member is either a part that the upsert takes, another name of a path
	// parameter, or unknown. Unknown members are only noted here: whether a read
	// shows them is not known yet.
	for _, member := range root.Members {
		param := r.param(member.Name)
		if param < 0 {
			r.known.unknown(&m, []string{member.Name}, member.Node)
		} else if !equalArg(member.Value, args[param], r.params[param].Type == "uuid") {
			return m, &source.BodyError{Member: member.Name, Reason: fmt.Sprintf("contradicts {%s} of the path", r.params[param].Name)}
		}
	}
	// Members that are missing are told last: a member with a name that is nearly theirs
	// explains them.
	for i, f := range r.fields {
		value, err := dig(root, f.Path)
		if err != nil {
			return m, err
		}
		m.values[i] = value
		if m.values[i] == nil && !f.Optional {
			fault := &source.BodyError{Member: f.String(), Reason: "is missing"}
			if name := nearMember(f.Path, m.unknown); name != "" {
				fault.Reason = fmt.Sprintf("is missing; the body has %q", name)
			}
			return m, fault
		}
	}
	return m, nil
}

// dig follows path into a node. It returns nil when a member on the way is
// missing or null. A value on the way that is no object is a fault of its own:
// the client has sent another shape, and to call the member missing would mislead
// it.
func dig(n jsonvalue.Node, path []string) (jsontext.Value, error) {
	for i, name := range path {
		switch n.Value.Kind() {
		case jsontext.KindBeginObject:
		case jsontext.KindNull:
			return nil, nil
		default:
			return nil, &source.BodyError{Member: strings.Join(path[:i], "."), Reason: "has to be an object"}
		}
		at := slices.IndexFunc(n.Members, func(m jsonvalue.Member) bool { return m.Name == name })
		if at < 0 {
			return nil, nil
		}
		n = n.Members[at].Node
	}
	return n.Value, nil
}

// param returns the path parameter that a member names, itself or by the
// column that it is bound to, or -1. The two have to agree: where they do not,
// the client means another record than the one it would overwrite.
func (r *bodyReader) param(name string) int {
	if i := slices.IndexFunc(r.params, func(p param.Param) bool { return p.Name == name }); i >= 0 {
		return i
	}
	// Columns are compared without case, as all three databases compare names
	// that are not quoted.
	for column, param := range r.columns {
		if strings.EqualFold(column, name) {
			return param
		}
	}
	return -1
}

// sourceMember is the member that stands beside the record in answers to reads.
const sourceMember = "source"

// unwrap returns the record of a body that is a whole answer to a read, as
// {"user":{…},"source":"cache"}, or nil: a client may send back what it got as it
// is. A body that the upsert takes members of these names from is none.
func (r *bodyReader) unwrap(root jsonvalue.Node) (record *jsonvalue.Node) {
	if r.envelope == "" || r.known.parts[r.envelope] != nil || r.known.parts[sourceMember] != nil ||
		r.param(r.envelope) >= 0 || r.param(sourceMember) >= 0 {
		return nil
	}
	// Exactly the two members of an answer to a read, and nothing else: with any
	// other member beside them the body is taken as the record itself, and the
	// members are judged by name.
	tier := false
	for _, m := range root.Members {
		switch {
		case m.Name == r.envelope && m.Value.Kind() == jsontext.KindBeginObject:
			record = &m.Node
		case m.Name == sourceMember && (string(m.Value) == `"db"` || string(m.Value) == `"cache"`):
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

// equalArg compares a member with a path parameter's value. Integers count as
// numbers, however they are written. What a read shows of a string parameter's
// column is another text than the parameter where the column is a number, bytes
// or padded with blanks. fold compares without case, for UUIDs: their hexadecimal
// digits may be written in capitals.
func equalArg(value jsontext.Value, arg any, fold bool) bool {
	switch arg := arg.(type) {
	case int64:
		text, err := engine.IntegerOf(value)
		return err == nil && text == strconv.FormatInt(arg, 10)
	case string:
		s, err := engine.TextOf(value)
		if err != nil {
			return false
		}
		// Four ways in which a read may show the parameter: as it is, in other
		// capitals (a UUID), as base64 of its bytes, or padded with blanks
		// (char(n)).
		data, notBytes := engine.BytesOf(value)
		return s == arg || fold && strings.EqualFold(s, arg) || notBytes == nil && string(data) == arg ||
			arg != "" && strings.TrimRight(s, " ") == arg
	}
	return false
}

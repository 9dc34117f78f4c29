package database

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// maxDepth is how deep objects and arrays of a body may nest, itself included.
const maxDepth = 64

// bodyReader takes the members that an upsert binds out of request bodies.
// A body is untrusted: it is read once from end to end by a strict reader
// before anything is taken out of it.
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

// maxUnknown is how many unknown members are remembered.
const maxUnknown = 8

// read returns what each field takes. Faults are *BodyError.
func (r *bodyReader) read(body []byte, args source.Args) (members, error) {
	m := members{values: make([]jsontext.Value, len(r.fields))}
	root, err := parseBody(body)
	if err != nil {
		return m, err
	}
	if record := r.unwrap(root); record != nil {
		root = *record
	}
	for _, member := range root.members {
		param := r.param(member.name)
		if param < 0 {
			r.known.unknown(&m, []string{member.name}, member.node)
		} else if !equalArg(member.value, args[param], r.params[param].Type == "uuid") {
			return m, &source.BodyError{Member: member.name, Reason: fmt.Sprintf("contradicts {%s} of the path", r.params[param].Name)}
		}
	}
	// Members that are missing are told last: a member with a name that is nearly theirs
	// explains them.
	for i, f := range r.fields {
		if m.values[i], err = root.dig(f.Path); err != nil {
			return m, err
		}
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

// node is a value of a body, as it was sent.
type node struct {
	value   jsontext.Value
	members []member // of an object
}

// member is a named value of an object. Names are unescaped, values are not.
type member struct {
	name string
	node
}

// dig follows path into a node. It returns nil when a member on the way is
// missing or null.
func (n node) dig(path []string) (jsontext.Value, error) {
	for i, name := range path {
		switch n.value.Kind() {
		case jsontext.KindBeginObject:
		case jsontext.KindNull:
			return nil, nil
		default:
			return nil, &source.BodyError{Member: strings.Join(path[:i], "."), Reason: "has to be an object"}
		}
		at := slices.IndexFunc(n.members, func(m member) bool { return m.name == name })
		if at < 0 {
			return nil, nil
		}
		n = n.members[at].node
	}
	return n.value, nil
}

// parseBody reads all of body: it has to be one object without duplicate
// members, without NUL in its strings (no text column holds one), and no
// deeper than maxDepth.
func parseBody(body []byte) (node, error) {
	p := bodyParser{body: body, dec: jsontext.NewDecoder(bytes.NewReader(body))}
	if kind := p.dec.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		if err := p.dec.SkipValue(); err != nil {
			return node{}, syntaxFault(err)
		}
		return node{}, &source.BodyError{Reason: "the body has to be a JSON object"}
	}
	root, err := p.node()
	if err != nil {
		return root, err
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return root, source.Mark(&source.BodyError{Reason: "something follows the JSON object"}, source.ErrMalformed)
	}
	return root, nil
}

// bodyParser builds the tree of a body in one pass. What it returns are slices of the
// body, so nothing is copied that no statement takes.
type bodyParser struct {
	body []byte
	dec  *jsontext.Decoder
}

// node reads the next value. The depth of the recursion is bounded by maxDepth.
func (p *bodyParser) node() (n node, err error) {
	kind := p.dec.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		raw, err := p.dec.ReadValue()
		if err != nil {
			return n, syntaxFault(err)
		}
		n.value = p.upTo(p.dec.InputOffset() - int64(len(raw)))
		text, _ := engine.Unquote(n.value)
		return n, p.text(text)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return n, syntaxFault(err)
	}
	if p.dec.StackDepth() > maxDepth {
		return n, &source.BodyError{Reason: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
	}
	start := p.dec.InputOffset() - 1
	for next := p.dec.PeekKind(); next != jsontext.KindEndObject && next != jsontext.KindEndArray; next = p.dec.PeekKind() {
		var m member
		if kind == jsontext.KindBeginObject {
			if m.name, err = p.name(); err != nil {
				return n, err
			}
		}
		if m.node, err = p.node(); err != nil {
			return n, err
		}
		if kind == jsontext.KindBeginObject {
			n.members = append(n.members, m)
		}
	}
	if _, err := p.dec.ReadToken(); err != nil { // the other bracket, for one
		return n, syntaxFault(err)
	}
	n.value = p.upTo(start)
	return n, nil
}

// upTo returns the body from start to where the decoder is.
func (p *bodyParser) upTo(start int64) jsontext.Value {
	end := p.dec.InputOffset()
	return p.body[start:end:end]
}

// name reads the name of a member.
func (p *bodyParser) name() (string, error) {
	tok, err := p.dec.ReadToken()
	if err != nil {
		return "", syntaxFault(err)
	}
	name := tok.String()
	return name, p.text(name)
}

// text checks a string that the decoder has just read.
func (p *bodyParser) text(text string) error {
	if strings.ContainsRune(text, 0) {
		return &source.BodyError{Member: dotted(p.dec.StackPointer()), Reason: "has a NUL character"}
	}
	return nil
}

// syntaxFault says where a body stops being JSON.
func syntaxFault(err error) error {
	fault := &source.BodyError{Reason: "the body ends too early"}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		return &source.BodyError{Member: dotted(syntax.JSONPointer), Reason: "occurs twice"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
	case errors.As(err, &syntax):
		fault.Reason = fmt.Sprintf("the body is no JSON at byte %d", syntax.ByteOffset)
	default:
		fault.Reason = "the body is no JSON"
	}
	return source.Mark(fault, source.ErrMalformed)
}

// dotted writes a JSON pointer (RFC 6901) as a.b.
func dotted(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, strings.ToValidUTF8(name, "\uFFFD"))
	}
	return strings.Join(names, ".")
}

// param returns the path parameter that a member names, itself or by the
// column that it is bound to, or -1. The two have to agree: where they do not,
// the client means another record than the one it would overwrite.
func (r *bodyReader) param(name string) int {
	if i := slices.IndexFunc(r.params, func(p param.Param) bool { return p.Name == name }); i >= 0 {
		return i
	}
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
func (r *bodyReader) unwrap(root node) (record *node) {
	if r.envelope == "" || r.known.parts[r.envelope] != nil || r.known.parts[sourceMember] != nil ||
		r.param(r.envelope) >= 0 || r.param(sourceMember) >= 0 {
		return nil
	}
	tier := false
	for _, m := range root.members {
		switch {
		case m.name == r.envelope && m.value.Kind() == jsontext.KindBeginObject:
			record = &m.node
		case m.name == sourceMember && (string(m.value) == `"db"` || string(m.value) == `"cache"`):
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
// or padded with blanks.
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
		data, notBytes := engine.BytesOf(value)
		return s == arg || fold && strings.EqualFold(s, arg) || notBytes == nil && string(data) == arg ||
			arg != "" && strings.TrimRight(s, " ") == arg
	}
	return false
}

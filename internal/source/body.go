package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep objects and arrays of a body may nest, itself included.
const maxDepth = 64

// bodyReader takes the members that an upsert binds out of request bodies.
// A body is untrusted: it is read once from end to end by a strict reader
// before anything is taken out of it.
type bodyReader struct {
	fields  []field
	params  []Param
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
func (r *bodyReader) read(body []byte, args Args) (members, error) {
	m := members{values: make([]jsontext.Value, len(r.fields))}
	if err := checkBody(body); err != nil {
		return m, err
	}
	if record := r.unwrap(body); record != nil {
		body = record
	}
	if err := r.members(body, args, &m); err != nil {
		return m, err
	}
	for i, f := range r.fields {
		if m.values[i] == nil && !f.optional {
			fault := &BodyError{Member: f.String(), Reason: "is missing"}
			if name := nearMember(f.path, m.unknown); name != "" {
				fault.Reason = fmt.Sprintf("is missing; the body has %q", name)
			}
			return m, fault
		}
	}
	return m, nil
}

// checkBody reads all of body: it has to be one object without duplicate
// members, without NUL in its strings (no text column holds one), and no
// deeper than maxDepth.
func checkBody(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if kind := dec.PeekKind(); kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		if err := dec.SkipValue(); err != nil {
			return syntaxFault(err)
		}
		return &BodyError{Reason: "the body has to be a JSON object"}
	}
	for first := true; ; first = false {
		tok, err := dec.ReadToken()
		if err == io.EOF && !first {
			return nil
		}
		if err != nil {
			return syntaxFault(err)
		}
		if dec.StackDepth() > maxDepth {
			return &BodyError{Reason: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
		}
		if tok.Kind() == jsontext.KindString && strings.ContainsRune(tok.String(), 0) {
			return &BodyError{Member: dotted(dec.StackPointer()), Reason: "has a NUL character"}
		}
		if !first && dec.StackDepth() == 0 {
			if _, err := dec.ReadToken(); err != io.EOF {
				return Mark(&BodyError{Reason: "something follows the JSON object"}, ErrMalformed)
			}
			return nil
		}
	}
}

// syntaxFault says where a body stops being JSON.
func syntaxFault(err error) error {
	fault := &BodyError{Reason: "the body ends too early"}
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntax) && errors.Is(err, jsontext.ErrDuplicateName):
		return &BodyError{Member: dotted(syntax.JSONPointer), Reason: "occurs twice"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
	case errors.As(err, &syntax):
		fault.Reason = fmt.Sprintf("the body is no JSON at byte %d", syntax.ByteOffset)
	default:
		fault.Reason = "the body is no JSON"
	}
	return Mark(fault, ErrMalformed)
}

// dotted writes a JSON pointer (RFC 6901) as a.b.
func dotted(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, strings.ToValidUTF8(name, "\uFFFD"))
	}
	return strings.Join(names, ".")
}

// members finds the fields in a checked body, and the members that have to
// agree with the path.
func (r *bodyReader) members(body []byte, args Args, m *members) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if _, err := dec.ReadToken(); err != nil {
		return syntaxFault(err)
	}
	for i, f := range r.fields {
		if len(f.path) == 0 {
			m.values[i] = bytes.TrimSpace(body)
		}
	}
	for dec.PeekKind() != jsontext.KindEndObject {
		name, value, err := member(dec)
		if err != nil {
			return err
		}
		if param := r.param(name); param >= 0 {
			if !equalArg(value, args[param], r.params[param].Type == "uuid") {
				return &BodyError{Member: name, Reason: fmt.Sprintf("contradicts {%s} of the path", r.params[param].Name)}
			}
		} else if err := r.known.unknown(m, []string{name}, value); err != nil {
			return err
		}
		for i, f := range r.fields {
			if len(f.path) == 0 || f.path[0] != name {
				continue
			}
			if m.values[i], err = dig(value, f.path, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// member reads a name and its value, which the caller owns.
func member(dec *jsontext.Decoder) (string, jsontext.Value, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return "", nil, syntaxFault(err)
	}
	name := tok.String()
	value, err := dec.ReadValue()
	if err != nil {
		return "", nil, syntaxFault(err)
	}
	return name, value.Clone(), nil
}

// dig follows path[depth:] into value. It returns nil when a member on the
// way is missing.
func dig(value jsontext.Value, path []string, depth int) (jsontext.Value, error) {
	if depth == len(path) {
		return value, nil
	}
	switch value.Kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindBeginObject:
	default:
		return nil, &BodyError{Member: strings.Join(path[:depth], "."), Reason: "has to be an object"}
	}
	dec := jsontext.NewDecoder(bytes.NewReader(value))
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntaxFault(err)
	}
	for dec.PeekKind() != jsontext.KindEndObject {
		name, inner, err := member(dec)
		if err != nil {
			return nil, err
		}
		if name == path[depth] {
			return dig(inner, path, depth+1)
		}
	}
	return nil, nil
}

// param returns the path parameter that a member names, itself or by the
// column that it is bound to, or -1. The two have to agree: where they do not,
// the client means another record than the one it would overwrite.
func (r *bodyReader) param(name string) int {
	if i := paramIndex(r.params, name); i >= 0 {
		return i
	}
	for column, param := range r.columns {
		if strings.EqualFold(column, name) {
			return param
		}
	}
	return -1
}

// equalArg compares a member with a path parameter's value. Integers count as
// numbers, however they are written. What a read shows of a string parameter's
// column is another text than the parameter where the column is a number, bytes
// or padded with blanks.
func equalArg(value jsontext.Value, arg any, fold bool) bool {
	switch arg := arg.(type) {
	case int64:
		text, err := integerOf(value)
		return err == nil && text == strconv.FormatInt(arg, 10)
	case string:
		s, err := textOf(value)
		if err != nil {
			return false
		}
		data, notBytes := bytesOf(value)
		return s == arg || fold && strings.EqualFold(s, arg) || notBytes == nil && string(data) == arg ||
			arg != "" && strings.TrimRight(s, " ") == arg
	}
	return false
}

// unquote returns the text of a JSON string.
func unquote(value jsontext.Value) (string, error) {
	if value.Kind() != jsontext.KindString {
		return "", errors.New("is not a string")
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
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
	dialect dialect
	fields  []field
	params  []Param
	columns map[string]int // columns that are path parameters
}

// read returns the bind value of each field. Faults are *BodyError.
func (r *bodyReader) read(body []byte, args Args) ([]any, error) {
	if err := checkBody(body); err != nil {
		return nil, err
	}
	raw := make([]jsontext.Value, len(r.fields))
	if err := r.members(body, args, raw); err != nil {
		return nil, err
	}
	values := make([]any, len(r.fields))
	for i, f := range r.fields {
		if raw[i] == nil {
			if !f.optional {
				return nil, &BodyError{Member: f.String(), Reason: "is missing"}
			}
			continue
		}
		v, err := bindJSON(r.dialect, raw[i])
		if err != nil {
			return nil, &BodyError{Member: f.String(), Reason: err.Error()}
		}
		values[i] = v
	}
	return values, nil
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
				return markedError{&BodyError{Reason: "something follows the JSON object"}, ErrMalformed}
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
	return markedError{fault, ErrMalformed}
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
func (r *bodyReader) members(body []byte, args Args, raw []jsontext.Value) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if _, err := dec.ReadToken(); err != nil {
		return syntaxFault(err)
	}
	for i, f := range r.fields {
		if len(f.path) == 0 {
			raw[i] = bytes.TrimSpace(body)
		}
	}
	for dec.PeekKind() != jsontext.KindEndObject {
		name, value, err := member(dec)
		if err != nil {
			return err
		}
		if err := r.agrees(name, value, args); err != nil {
			return err
		}
		for i, f := range r.fields {
			if len(f.path) == 0 || f.path[0] != name {
				continue
			}
			if raw[i], err = dig(value, f.path, 1); err != nil {
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

// agrees refuses a member that names a path parameter, or the column that one
// selects by, and has another value than the path: the client means another
// record than the one it would overwrite.
func (r *bodyReader) agrees(name string, value jsontext.Value, args Args) error {
	i := paramIndex(r.params, name)
	if i < 0 {
		for column, param := range r.columns {
			if strings.EqualFold(column, name) {
				i = param
			}
		}
	}
	if i < 0 || equalArg(value, args[i], r.params[i].Type == "uuid") {
		return nil
	}
	return &BodyError{Member: name, Reason: fmt.Sprintf("contradicts {%s} of the path", r.params[i].Name)}
}

// equalArg compares a member with a path parameter's value.
func equalArg(value jsontext.Value, arg any, fold bool) bool {
	switch arg := arg.(type) {
	case int64:
		n, err := strconv.ParseInt(string(value), 10, 64)
		return err == nil && n == arg
	case string:
		s, err := unquote(value)
		return err == nil && (s == arg || fold && strings.EqualFold(s, arg))
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

// bindJSON turns a member into a bind value. Numbers keep every digit: those
// that the driver's own types cannot hold go as text. Objects and arrays go
// as JSON text.
func bindJSON(d dialect, value jsontext.Value) (any, error) {
	switch value.Kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindTrue, jsontext.KindFalse:
		if d == postgresDialect {
			return string(value), nil
		}
		return value.Kind() == jsontext.KindTrue, nil
	case jsontext.KindString:
		return unquote(value)
	case jsontext.KindNumber:
		return bindNumber(d, string(value))
	}
	return string(value), nil
}

func bindNumber(d dialect, text string) (any, error) {
	if d == postgresDialect {
		return text, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, errors.New("is out of range")
	}
	// SQLite compares a text with a number column by its own parser, which
	// rounds; a double that stands for exactly this decimal is better.
	if d == sqliteDialect && strconv.FormatFloat(f, 'g', -1, 64) == text {
		return f, nil
	}
	return text, nil
}

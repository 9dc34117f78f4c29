package jsonvalue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Node is a value of an object that a client has sent, as it was sent.
type Node struct {
	Value   jsontext.Value
	Members []Member // of an object
}

// Member is a named value of an object. Its name is unescaped, its value is not.
type Member struct {
	Name string
	Node
}

// Faults of an object that is JSON, or begins as JSON. Other errors of ParseObject
// are those of jsontext: the text is no JSON, or has two members of one name.
var (
	ErrTrailing  = errors.New("something follows the JSON value")
	ErrTooDeep   = errors.New("the JSON value is nested too deep")
	ErrNotObject = errors.New("the JSON value is no object")
)

// NULError says that a string has a NUL character, which no text column of a
// database holds.
type NULError struct{ Member string } // where it stands, as a.b

func (e *NULError) Error() string { return fmt.Sprintf("member %q has a NUL character", e.Member) }

// ParseObject reads all of body, which has to be one object, no deeper than
// maxDepth levels, itself included. A body is untrusted: it is read once from end
// to end by a strict reader before anything is taken out of it. What it returns are
// slices of body, so nothing is copied.
func ParseObject(body []byte, maxDepth int) (Node, error) {
	p := objectParser{body: body, dec: jsontext.NewDecoder(bytes.NewReader(body)), maxDepth: maxDepth}
	root, err := p.node()
	if err != nil {
		return root, err
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return root, ErrTrailing
	}
	if root.Value.Kind() != jsontext.KindBeginObject {
		return root, ErrNotObject
	}
	if p.nul != nil {
		return root, p.nul
	}
	return root, nil
}

// objectParser builds the tree of a body in one pass.
type objectParser struct {
	body     []byte
	dec      *jsontext.Decoder
	maxDepth int
	nul      *NULError // the first; what is no JSON at all is the worse fault
}

// node reads the next value. The depth of the recursion is bounded by maxDepth.
func (p *objectParser) node() (n Node, err error) {
	kind := p.dec.PeekKind()
	if kind != jsontext.KindBeginObject && kind != jsontext.KindBeginArray {
		raw, err := p.dec.ReadValue()
		if err != nil {
			return n, err
		}
		n.Value = p.upTo(p.dec.InputOffset() - int64(len(raw)))
		if bytes.Contains(n.Value, escapedNUL) {
			text, _ := jsontext.AppendUnquote(nil, n.Value) // it has just been read, so it is a string
			p.checkText(string(text))
		}
		return n, nil
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return n, err
	}
	if p.dec.StackDepth() > p.maxDepth {
		return n, ErrTooDeep
	}
	start := p.dec.InputOffset() - 1
	for next := p.dec.PeekKind(); next != jsontext.KindEndObject && next != jsontext.KindEndArray; next = p.dec.PeekKind() {
		var m Member
		if kind == jsontext.KindBeginObject {
			name, err := p.dec.ReadToken()
			if err != nil {
				return n, err
			}
			m.Name = name.String()
			p.checkText(m.Name)
		}
		if m.Node, err = p.node(); err != nil {
			return n, err
		}
		if kind == jsontext.KindBeginObject {
			n.Members = append(n.Members, m)
		}
	}
	if _, err := p.dec.ReadToken(); err != nil { // the other bracket, for one
		return n, err
	}
	n.Value = p.upTo(start)
	return n, nil
}

// escapedNUL is in every string with a NUL: JSON has no other way to write one.
var escapedNUL = []byte(`\u0000`)

// upTo returns the body from start to where the decoder is.
func (p *objectParser) upTo(start int64) jsontext.Value {
	end := p.dec.InputOffset()
	return p.body[start:end:end]
}

// checkText looks at a string that the decoder has just read.
func (p *objectParser) checkText(text string) {
	if p.nul == nil && strings.ContainsRune(text, 0) {
		p.nul = &NULError{Member: dotted(p.dec.StackPointer())}
	}
}

// dotted writes a JSON pointer (RFC 6901) as a.b.
func dotted(p jsontext.Pointer) string {
	var names []string
	for name := range p.Tokens() {
		names = append(names, strings.ToValidUTF8(name, "\uFFFD"))
	}
	return strings.Join(names, ".")
}

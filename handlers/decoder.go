package handlers

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/internal/jsonvalue"
)

// decode reads a body that the scanner has not taken. The decoder checks the grammar,
// UTF-8 and duplicate members while it passes over them, so each byte is looked at once,
// and once more for the depth.
func (b *batchBody) decode(lines bool) error {
	if lines {
		return b.decodeLines()
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(b.body))
	if kind := dec.PeekKind(); kind != jsontext.KindBeginArray && kind != jsontext.KindInvalid {
		return refuse(fasthttp.StatusUnprocessableEntity, "the body must be a JSON array of objects, or one object per line sent as application/x-ndjson")
	}
	if _, err := dec.ReadToken(); err != nil {
		return refuse(fasthttp.StatusBadRequest, "the body "+syntaxFault(err))
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		if err := b.decodeItem(dec, b.body); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return b.fault(fasthttp.StatusBadRequest, syntaxFault(err))
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return refuse(fasthttp.StatusBadRequest, "the body must end behind its array")
	}
	return nil
}

// decodeLines reads one object per line. Each line is decoded by itself: a decoder of
// the whole body would take an item that spans two lines, and two on one line.
func (b *batchBody) decodeLines() error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(nil))
	for line := range bytes.SplitSeq(b.body, lineEnd) {
		line = jsonvalue.Trim(line)
		if len(line) == 0 {
			continue
		}
		dec.Reset(bytes.NewBuffer(line))
		if err := b.decodeItem(dec, line); err != nil {
			return err
		}
		if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
			b.count-- // the fault is this item's, which is counted already
			return b.fault(fasthttp.StatusBadRequest, "must stand alone on its line")
		}
	}
	return nil
}

// decodeItem reads the next value from dec, whose input is input, and adds it.
func (b *batchBody) decodeItem(dec *jsontext.Decoder, input []byte) error {
	kind := dec.PeekKind()
	if kind != jsontext.KindInvalid && b.count == b.limit {
		return b.fault(fasthttp.StatusRequestEntityTooLarge,
			"is one too many: a batch may have "+strconv.Itoa(b.limit)+" items (server.max_items)")
	}
	if kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return b.fault(fasthttp.StatusUnprocessableEntity, "must be a JSON object")
	}
	id, item, err := decodeObject(dec, input)
	if err != nil {
		return b.fault(fasthttp.StatusBadRequest, syntaxFault(err))
	}
	if deeper(item, maxDepth-b.levels) {
		return b.fault(fasthttp.StatusBadRequest, "is nested more than 64 levels deep")
	}
	return b.add(id, item)
}

// decodeObject reads an object, which is a slice of input, and the value of its
// member "id", however that name is escaped. The value is copied, since the decoder
// may move its buffer; the object is not, as it lies in the input. Other members are
// passed over without a token for each of their parts.
func decodeObject(dec *jsontext.Decoder, input []byte) (id, object []byte, err error) {
	if _, err := dec.ReadToken(); err != nil {
		return nil, nil, err
	}
	start := dec.InputOffset() - 1
	for dec.PeekKind() != jsontext.KindEndObject {
		name, err := dec.ReadToken()
		switch {
		case err != nil:
			return nil, nil, err
		case name.Kind() != jsontext.KindString:
			return nil, nil, jsontext.ErrNonStringName
		case name.String() != "id":
			if err := dec.SkipValue(); err != nil {
				return nil, nil, err
			}
			continue
		}
		value, err := dec.ReadValue()
		if err != nil {
			return nil, nil, err
		}
		id = bytes.Clone(value)
	}
	_, err = dec.ReadToken()
	return id, input[start:dec.InputOffset()], err
}

package handlers

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/jsonvalue"
	"hearth/internal/param"
)

// batchBody reads the items of a batch. Items are slices of body; no tree of
// values is built. The decoder checks the grammar, UTF-8 and duplicate members while
// it passes over them, so each byte is looked at once, and once more for the depth.
type batchBody struct {
	body  []byte
	param param.Param // of the path the items are read under later
	key   param.Key
	limit int
	// levels is how deep the items lie in the body: 1 in an array.
	levels int

	// What was read. Of items with one id the last one counts, and count
	// includes them all: it tells how many items of the request are stored.
	items []cache.Item
	ids   [][]byte // as given, JSON
	times []int    // how many items of the request had this id
	count int
	seen  map[string]int // key -> index in items
}

// read decodes the body: one array, or with lines one object per line.
func (b *batchBody) read(lines bool) error {
	b.seen = map[string]int{}
	if lines {
		return b.readLines()
	}
	b.levels = 1
	dec := jsontext.NewDecoder(bytes.NewBuffer(b.body))
	if kind := dec.PeekKind(); kind != jsontext.KindBeginArray && kind != jsontext.KindInvalid {
		return refuse(fasthttp.StatusUnprocessableEntity, "the body must be a JSON array of objects, or one object per line sent as application/x-ndjson")
	}
	if _, err := dec.ReadToken(); err != nil {
		return refuse(fasthttp.StatusBadRequest, "the body "+syntaxFault(err))
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		if err := b.readItem(dec, b.body); err != nil {
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

// readLines reads one object per line. Each line is decoded by itself: a decoder of
// the whole body would take an item that spans two lines, and two on one line.
func (b *batchBody) readLines() error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(nil))
	for line := range bytes.SplitSeq(b.body, []byte("\n")) {
		line = jsonvalue.Trim(line)
		if len(line) == 0 {
			continue
		}
		dec.Reset(bytes.NewBuffer(line))
		if err := b.readItem(dec, line); err != nil {
			return err
		}
		if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
			b.count-- // the fault is this item's, which is counted already
			return b.fault(fasthttp.StatusBadRequest, "must stand alone on its line")
		}
	}
	return nil
}

// readItem reads the next value from dec, whose input is input, and adds it.
func (b *batchBody) readItem(dec *jsontext.Decoder, input []byte) error {
	kind := dec.PeekKind()
	if kind != jsontext.KindInvalid && b.count == b.limit {
		return b.fault(fasthttp.StatusRequestEntityTooLarge,
			"is one too many: a batch may have "+strconv.Itoa(b.limit)+" items (server.max_items)")
	}
	if kind != jsontext.KindBeginObject && kind != jsontext.KindInvalid {
		return b.fault(fasthttp.StatusUnprocessableEntity, "must be a JSON object")
	}
	id, item, err := readObject(dec, input)
	if err != nil {
		return b.fault(fasthttp.StatusBadRequest, syntaxFault(err))
	}
	return b.add(id, item)
}

// readObject reads an object, which is a slice of input, and the value of its
// member "id", however that name is escaped. The value is copied, since the decoder
// may move its buffer; the object is not, as it lies in the input. Other members are
// passed over without a token for each of their parts.
func readObject(dec *jsontext.Decoder, input []byte) (id, object []byte, err error) {
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

// add takes an item whose JSON is known to be good. Its id goes through the same
// canonical form as a parameter of the path that it is read under later, so both
// make one key. Of items with one id the last takes the place of the first, before
// anything is sent: two SETs of one key in one pipeline would be work for nothing.
func (b *batchBody) add(id, item []byte) error {
	if deeper(item, maxDepth-b.levels) {
		return b.fault(fasthttp.StatusBadRequest, "is nested more than 64 levels deep")
	}
	text, reason := idText(id)
	if reason != "" {
		return b.fault(fasthttp.StatusUnprocessableEntity, reason)
	}
	v, reason := b.param.Parse(text)
	if reason != "" {
		return b.fault(fasthttp.StatusUnprocessableEntity, `has an "id" that `+reason)
	}
	b.count++
	key := b.key.Of(v)
	if at, ok := b.seen[key]; ok {
		b.items[at].Value, b.ids[at] = item, id
		b.times[at]++
		return nil
	}
	b.seen[key] = len(b.items)
	b.items = append(b.items, cache.Item{Key: key, Value: item})
	b.ids, b.times = append(b.ids, id), append(b.times, 1)
	return nil
}

// idText is the text of an item's id: that of a string, or the digits of an
// integer. A number goes by its digits, never through a float: 1.0 is no integer,
// and 2^53+1 stays itself.
func idText(id []byte) (text, reason string) {
	const want = `needs an "id" that is a string or an integer`
	if len(id) == 0 {
		return "", want + "; it has none"
	}
	switch jsontext.Value(id).Kind() {
	case jsontext.KindString:
		raw, err := jsontext.AppendUnquote(nil, id)
		if err != nil {
			return "", `has an "id" that is not valid UTF-8`
		}
		return string(raw), ""
	case jsontext.KindNumber:
		n, err := strconv.ParseInt(string(id), 10, 64)
		if err != nil {
			return "", want + "; a number must be a 64-bit integer without point or exponent"
		}
		return strconv.FormatInt(n, 10), ""
	}
	return "", want
}

// fault refuses the batch because of the item that is being read. Its index is what
// a client can find it by; its id may be what is wrong with it.
func (b *batchBody) fault(status int, reason string) error {
	return refuse(status, "item "+strconv.Itoa(b.count)+", counted from 0, "+reason+"; nothing was stored")
}

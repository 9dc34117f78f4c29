package handlers

import (
	"bytes"
	"hash/maphash"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/jsonvalue"
	"hearth/internal/param"
)

// batchBody reads the items of a batch. Items are slices of body; no tree of values is
// built. A scanner passes over the body once, and finds where each item and its id begin
// and end. What it does not take is read again from the start by a decoder (decoder.go),
// which takes all that is good and knows what is wrong: a batch that is refused costs
// twice, and one that is not nothing but the scan.
//
// It is used again for other batches, so that reading one allocates its keys and nothing
// else.
type batchBody struct {
	body  []byte
	param param.Param // of the path the items are read under later
	key   param.Key
	limit int
	// levels is how deep the items lie in the body: 1 in an array.
	levels int

	// What was read. Of items with one id the last one counts, and count
	// includes them all: it tells how many items of the request are stored.
	found []foundItem
	count int
	keys  []byte  // of all found, one behind the other
	slots []int32 // hash table of found: places in it, plus one; its size is a power of two
	items []cache.Item

	scan jsonvalue.Scanner
}

// foundItem is an item of a batch, or several with one id.
type foundItem struct {
	value  []byte
	id     []byte // as given, JSON
	hash   uint64 // of its key
	keyEnd int32  // in keys; it begins where the one before ends
	times  int32  // how many items of the request had this id
}

var batchBodies = sync.Pool{New: func() any { return new(batchBody) }}

// maxPooledItems bounds the items of a batch whose memory is kept for another one.
const maxPooledItems = 10_000

// release keeps the memory of b for another batch. Nothing of its body stays.
func (b *batchBody) release() {
	if cap(b.found) > maxPooledItems {
		return
	}
	clear(b.found)
	clear(b.items)
	b.scan.Reset(nil)
	*b = batchBody{found: b.found[:0], keys: b.keys[:0], slots: b.slots, items: b.items[:0], scan: b.scan}
	batchBodies.Put(b)
}

// read reads the body: one array, or with lines one object per line. Then items has
// what is to be stored.
func (b *batchBody) read(lines bool) error {
	if !lines {
		b.levels = 1
	}
	taken, err := false, error(nil)
	if b.begin(); lines {
		taken, err = b.scanLines()
	} else {
		taken, err = b.scanArray()
	}
	if err == nil && !taken {
		b.begin()
		err = b.decode(lines)
	}
	if err != nil {
		return err
	}
	text, start := string(b.keys), int32(0)
	for i := range b.found {
		f := &b.found[i]
		b.items = append(b.items, cache.Item{Key: text[start:f.keyEnd], Value: f.value})
		start = f.keyEnd
	}
	return nil
}

// begin forgets what was read.
func (b *batchBody) begin() {
	b.found, b.count, b.keys, b.items, b.slots = b.found[:0], 0, b.keys[:0], b.items[:0], b.slots[:0]
}

// scanArray reads one array. taken is false if a decoder has to. An error is that of an
// item whose id is none: all before it is good.
func (b *batchBody) scanArray() (taken bool, err error) {
	s := &b.scan
	s.Reset(b.body)
	at := s.Blank(0)
	if at >= len(b.body) || b.body[at] != '[' {
		return false, nil
	}
	if at = s.Blank(at + 1); at < len(b.body) && b.body[at] == ']' {
		return s.Blank(at+1) == len(b.body), nil
	}
	for {
		end, err := b.scanItem(at)
		if end < 0 {
			return false, err
		}
		at = s.Blank(end)
		switch {
		case at >= len(b.body):
			return false, nil
		case b.body[at] == ',':
			at = s.Blank(at + 1)
		default:
			return b.body[at] == ']' && s.Blank(at+1) == len(b.body), nil
		}
	}
}

// scanLines reads one object per line.
func (b *batchBody) scanLines() (taken bool, err error) {
	for rest := b.body; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, lineEnd)
		if line = jsonvalue.Trim(line); len(line) == 0 {
			continue
		}
		b.scan.Reset(line)
		if end, err := b.scanItem(0); end != len(line) {
			return false, err
		}
	}
	return true, nil
}

var lineEnd = []byte("\n")

// scanItem reads the item at a place of what is scanned, and returns the place behind it,
// -1 if a decoder has to read it or its id is none.
func (b *batchBody) scanItem(at int) (end int, err error) {
	if b.count == b.limit {
		return -1, nil
	}
	id, end := b.scan.Object(at, maxDepth-b.levels, "id")
	if end < 0 {
		return -1, nil
	}
	if err := b.add(id, b.scan.Text(at, end)); err != nil {
		return -1, err
	}
	return end, nil
}

// add takes an item whose JSON is known to be good. Its id goes through the same
// canonical form as a parameter of the path that it is read under later, so both
// make one key. Of items with one id the last takes the place of the first, before
// anything is sent: two SETs of one key in one pipeline would be work for nothing.
func (b *batchBody) add(id, item []byte) error {
	segment := b.plainSegment(id)
	if segment == nil {
		text, reason := idText(id)
		if reason != "" {
			return b.fault(fasthttp.StatusUnprocessableEntity, reason)
		}
		v, reason := b.param.Parse(text)
		if reason != "" {
			return b.fault(fasthttp.StatusUnprocessableEntity, `has an "id" that `+reason)
		}
		segment = []byte(v.Segment)
	}
	b.count++
	start := len(b.keys)
	b.keys = b.key.One(b.keys, segment)
	hash := maphash.Bytes(keySeed, b.keys[start:])
	slot, known := b.find(hash, b.keys[start:])
	if known != nil {
		known.value, known.id = item, id
		known.times++
		b.keys = b.keys[:start]
		return nil
	}
	b.found = append(b.found, foundItem{value: item, id: id, hash: hash, keyEnd: int32(len(b.keys)), times: 1})
	b.slots[slot] = int32(len(b.found))
	return nil
}

// plainSegment is what an id makes in a key, where it is known to be that as it is; nil
// where it has to be parsed. An integer with few digits is plain for all kinds of
// parameters whose form it has; of the spellings of zero one is.
func (b *batchBody) plainSegment(id []byte) []byte {
	switch {
	case len(id) == 0:
		return nil
	case id[0] == '"':
		id = id[1 : len(id)-1] // one with an escape has a backslash, which no plain one has
	case !param.Int.IsCanonical(id):
		return nil
	}
	if !b.param.Type.IsCanonical(id) {
		return nil
	}
	return id
}

// keySeed is this process's own, so that no client can make keys of one hash.
var keySeed = maphash.MakeSeed()

// find returns the item of a key, or else the free slot for it.
func (b *batchBody) find(hash uint64, key []byte) (slot int, known *foundItem) {
	if 2*len(b.found) >= len(b.slots) {
		b.grow()
	}
	mask := len(b.slots) - 1
	for slot = int(hash) & mask; ; slot = (slot + 1) & mask {
		at := b.slots[slot]
		if at == 0 {
			return slot, nil
		}
		if f := &b.found[at-1]; f.hash == hash && bytes.Equal(b.keyOf(int(at-1)), key) {
			return slot, f
		}
	}
}

// keyOf is the key of an item found.
func (b *batchBody) keyOf(i int) []byte {
	start := int32(0)
	if i > 0 {
		start = b.found[i-1].keyEnd
	}
	return b.keys[start:b.found[i].keyEnd]
}

// grow makes room for twice as many items.
func (b *batchBody) grow() {
	size := max(2*len(b.slots), 256)
	if b.slots = b.slots[:0]; cap(b.slots) < size {
		b.slots = make([]int32, size)
	}
	b.slots = b.slots[:size]
	clear(b.slots)
	mask := len(b.slots) - 1
	for i := range b.found {
		slot := int(b.found[i].hash) & mask
		for b.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		b.slots[slot] = int32(i + 1)
	}
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

package memory

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/goccy/go-json"
)

// Shape is how the answers with a resource's records look, and whose they are:
// an entry is found only for the Shape that it was made for. So a reload that
// changes an envelope makes a new Shape, and never meets an answer of the old
// one. It is immutable.
type Shape struct {
	id   uint32
	head string // stands before the data, "" without an envelope
}

// shapes are those that are in use, by the part of their identity that a record has.
var shapes struct {
	last atomic.Uint32
	used sync.Map // uint32 to weak.Pointer[Shape]
}

// shapeNamed is the shape of a record, nil if nobody uses it any more.
func shapeNamed(id uint32) *Shape {
	if at, ok := shapes.used.Load(id); ok {
		return at.(weak.Pointer[Shape]).Value()
	}
	return nil
}

// NewShape returns a shape with an identity of its own. envelope is the member
// that wraps the data, "" for the bare data.
func NewShape(envelope string) *Shape {
	s := &Shape{id: shapes.last.Add(1)}
	id := s.id & shapeMask
	shapes.used.Store(id, weak.Make(s))
	runtime.AddCleanup(s, func(id uint32) { shapes.used.Delete(id) }, id)
	if envelope != "" {
		quoted, err := json.Marshal(envelope)
		if err != nil {
			panic("BUG: a string that does not marshal: " + strconv.Quote(envelope))
		}
		s.head = "{" + string(quoted) + ":"
	}
	return s
}

// ID tells the Shape from every other of this process.
func (s *Shape) ID() uint32 { return s.id }

// tail is what stands behind the data in an answer of a tier.
func (s *Shape) tail() string {
	if s.head == "" {
		return ""
	}
	return tailCached
}

// tailCached stands behind the data in answers of a tier, tailLoaded in those of
// a load.
const tailCached = `,"source":"cache"}`

var tailLoaded = []byte(`,"source":"db"}`)

// TagOf is what stands between the quotes of the validators of a record.
func (s *Shape) TagOf(record []byte) string {
	tag := etagOf(append([]byte(s.head), record...))
	return hex.EncodeToString(tag[:])
}

// gzipFrom is the smallest body in bytes worth compressing: below it the
// answer fits one packet either way.
const gzipFrom = 1400

var gzipWriters = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// compress returns the gzip variant of an answer, nil when it saves less than
// a tenth. It runs once per fill, never per request.
func compress(head string, data []byte, tail string) []byte {
	var out bytes.Buffer
	w := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(w)
	w.Reset(&out)
	for _, part := range [][]byte{[]byte(head), data, []byte(tail)} {
		if _, err := w.Write(part); err != nil {
			panic("BUG: a buffer refused bytes: " + err.Error())
		}
	}
	if err := w.Close(); err != nil {
		panic("BUG: a buffer refused bytes: " + err.Error())
	}
	if size := len(head) + len(data) + len(tail); out.Len() > size-size/10 {
		return nil
	}
	return out.Bytes()
}

// etagBytes is how much of its hash makes an entry's validator: as much as fits the head
// without making it longer. Two records with one validator of 120 bits cannot be found.
const etagBytes = 15

// etagOf hashes a record and its shape: what an answer is up to the end of
// its data. "source" stands behind it: it differs between the first reader and
// the second, and the record does not. An envelope never makes one record look
// like another that has none, since its opening alone is no JSON.
//
// The hash is a cryptographic one without a key. Records come from anybody: with two that
// share a validator, the second could be hidden behind a 304. And every instance has to
// find the same validator, whenever it was started. The cost is per fill, not per hit.
func etagOf(record []byte) [etagBytes]byte {
	sum := sha256.Sum256(record)
	return [etagBytes]byte(sum[:etagBytes])
}

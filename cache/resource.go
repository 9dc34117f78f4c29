package cache

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goccy/go-json"

	"hearth/internal/source"
)

// Lifetimes of a resource's copies in the shared tier.
type Lifetimes struct {
	Cold    time.Duration // ordinary keys
	Hot     time.Duration // keys read more often than Config.HotRate
	Missing time.Duration // "no such record"
	Stale   time.Duration // how long a copy whose link died may still be served, marked
}

// Resource is what the cache has to know of a configured resource. It is
// immutable, and a memory entry belongs to the Resource it was made for: a
// reload that builds a new one never meets an answer of the old shape.
type Resource struct {
	Name     string
	Envelope string // member that wraps the data; "" = the bare data
	TTL      Lifetimes
	Records  source.Records // nil: the record lives in the shared tier only
	// Source names what Records loads from. Resources of one source share its
	// cap on loads and its circuit breaker. Set before the first use.
	Source string
	// Opened tells sources of one name apart, such as a database and the one
	// that a reload has put in its place: what the one suffers from says
	// nothing about the other. Comparable; nil if the name is enough.
	Opened any

	id       uint32
	head     string
	loadTime atomic.Int64 // of one record, as took has noted; ns, 0 until one was loaded here
}

var resources atomic.Uint32

// NewResource returns a resource with an identity of its own.
func NewResource(name, envelope string, ttl Lifetimes, records source.Records) *Resource {
	r := &Resource{Name: name, Envelope: envelope, TTL: ttl, Records: records, id: resources.Add(1)}
	if envelope != "" {
		quoted, err := json.Marshal(envelope)
		if err != nil {
			panic("BUG: a string that does not marshal: " + strconv.Quote(envelope))
		}
		r.head = "{" + string(quoted) + ":"
	}
	return r
}

// wrapping is what stands before and behind the data in an answer
// of a tier.
func (r *Resource) wrapping() (head, tail string) {
	if r.Envelope == "" {
		return "", ""
	}
	return r.head, tailCached
}

// tailCached stands behind the data in answers of a tier, tailLoaded in those of
// a load.
const tailCached = `,"source":"cache"}`

var tailLoaded = []byte(`,"source":"db"}`)

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

package cache

import (
	"sync/atomic"
	"time"

	"hearth/cache/memory"
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

	*memory.Shape

	loadTime atomic.Int64 // of one record, as took has noted; ns, 0 until one was loaded here
}

// NewResource returns a resource with a shape of its own.
func NewResource(name, envelope string, ttl Lifetimes, records source.Records) *Resource {
	return &Resource{Name: name, Envelope: envelope, TTL: ttl, Records: records, Shape: memory.NewShape(envelope)}
}

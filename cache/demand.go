package cache

import (
	"context"
	"errors"
	"time"

	"hearth/internal/source"
)

// Demand is what a client asks of an answer's freshness (RFC 9111, 5.2.1), beyond what every
// reader gets. The zero Demand asks nothing. Durations are counted at the request's arrival.
type Demand struct {
	Aged         bool          // MaxAge holds; no-cache is Aged with a MaxAge of 0
	MaxAge       time.Duration // the record was had from its source no longer ago than this
	MinFresh     time.Duration // what has to be left of the record's lifetime; 0: nothing
	MaxStale     time.Duration // how far beyond its lifetime a copy may be, marked stale; 0: not at all; negative: by any time
	OnlyIfCached bool          // answer from a tier or not at all: no load (ErrNotCached)
	// Since is the clock time of this instance (see Cache.SinceOf) before which the shared
	// tier must not have been read for the answer; 0: any time. A write whose version the
	// client sends was over by then.
	Since int64
	// Allow is asked once, before the demand causes work that a reader without one would not
	// cause: false ends the read with ErrNotAllowed. nil: always. It must not wait.
	Allow func() bool
}

// Errors of reads with a Demand.
var (
	ErrNotCached  = errors.New("no tier has a copy that meets the demand")
	ErrNotAllowed = errors.New("more reads demand fresh answers than may")
)

// ReadFresh is Read, and memory, for a client with a demand.
func (c *Cache) ReadFresh(ctx context.Context, r *Resource, key string, args source.Args, d Demand) (Answer, error) {
	panic("BUG: not written yet")
}

// NewVersion is a version token for writes of keys that are over: what a client sends back with
// its reads (Hearth-Version). It is made after the write is confirmed by the shared tier.
func (c *Cache) NewVersion(keys ...string) string { panic("BUG: not written yet") }

// SinceOf is Demand.Since for a read of key by a client that sends these versions: the clock time
// at which this instance first saw the newest of them that concerns the key, 0 if none does.
// What is no version is reported by ok.
func (c *Cache) SinceOf(versions []byte, key string) (since int64, ok bool) {
	panic("BUG: not written yet")
}

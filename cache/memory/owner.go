package memory

import (
	"math"
	"sync/atomic"
)

// Owner is one connection to the shared tier: the only witness whether the
// entries that were read on it still hold. An entry is fresh while its owner is
// open, in the same epoch, and has proved itself within the link's timeout.
//
// The states of an owner, of which each entry notes the epoch alone:
//
//	unproven ──Hear──► proven          an invalidation was seen to arrive
//	   │                  │ ▲
//	   │                  │ └──Flush   all entries of before belong to no epoch any more
//	   └──────End─────────┴──► ended   its entries may be served only when marked stale
type Owner struct {
	id       uint32
	local    bool          // no wire between us and the data: always verified
	epoch    atomic.Uint32 // entries of an earlier epoch were flushed
	ended    atomic.Bool
	proven   atomic.Bool  // an invalidation has been seen to arrive
	verified atomic.Int64 // send time of the latest command answered in order; clock ns

	proofs   chan struct{} // an invalidation of the canary was applied …
	provenAt atomic.Int64  // … at this clock time
}

// NewOwner returns an owner that has proved nothing yet; or with local one that
// has no wire to prove.
func (s *Store) NewOwner(local bool) *Owner {
	o := &Owner{id: s.lastID.Add(1), local: local, proofs: make(chan struct{}, 1)}
	o.verified.Store(math.MinInt64 / 2)
	if local {
		o.verified.Store(math.MaxInt64 / 2)
		o.proven.Store(true)
	}
	s.owners[o.id%ownerRing].Store(o)
	return o
}

// NewUntrackedOwner returns an owner for reads of which no change will ever be
// reported. It is always verified and never proven.
func (s *Store) NewUntrackedOwner() *Owner {
	o := s.NewOwner(true)
	o.proven.Store(false)
	return o
}

// End notes that the connection is gone. The cost does not depend on how many
// entries it owns.
func (o *Owner) End() { o.ended.Store(true) }

// Ended tells whether the connection is gone.
func (o *Owner) Ended() bool { return o.ended.Load() }

// Flush makes all entries that were read on o so far belong to an epoch that is over.
func (o *Owner) Flush() { o.epoch.Add(1) }

// Epoch is what an entry read on o now has to note.
func (o *Owner) Epoch() uint32 { return o.epoch.Load() }

// Local tells that there is no wire between this process and the data.
func (o *Owner) Local() bool { return o.local }

// Proven tells whether the connection has been seen to report a change.
func (o *Owner) Proven() bool { return o.proven.Load() }

// Prove notes that the canary's invalidation was applied at clock time at: this
// connection does report changes.
func (o *Owner) Prove(at int64) {
	o.provenAt.Store(at)
	o.proven.Store(true)
	select {
	case o.proofs <- struct{}{}:
	default:
	}
}

// Proofs receives after Hear; one value stands for any number of calls.
func (o *Owner) Proofs() <-chan struct{} { return o.proofs }

// ProvenAt is the clock time of the last Hear, 0 if there was none.
func (o *Owner) ProvenAt() int64 { return o.provenAt.Load() }

// VerifiedAt is the send time of the latest command answered in order, in clock time.
func (o *Owner) VerifiedAt() int64 { return o.verified.Load() }

package memory

import (
	"sync"
	"sync/atomic"
)

// Owner is one connection to the shared tier: the only witness whether the entries that
// were read on it still hold. All methods are safe for concurrent use.
//
// The states of an owner:
//
//	 Verify, Flush           Verify, Flush, Prove
//	     ┌──┐                       ┌──┐
//	     │  ▼        Prove          │  ▼         End
//	   unproven ────────────────► proven ────────────────► ended
//	       │                                                 ▲
//	       └───────────────────────End───────────────────────┘
//
//	unproven  no invalidation was seen to arrive: what is read is kept for
//	          memory.untracked_ttl at most, and marked
//	proven    entries are fresh while the link has verified itself within link_timeout
//	          and their epoch is the owner's
//	ended     entries are not fresh any more; they may be served marked as stale
//
// Verify moves the time of the latest proof of life on. Flush begins the next epoch:
// entries of earlier ones are neither fresh nor served stale. No state is left by time:
// a silent link only makes entries look unverified. A local owner (no wire) begins proven
// and verified for ever, an untracked one unproven and verified for ever.
type Owner struct {
	local    bool          // no wire between this process and the data: always verified
	epoch    atomic.Uint32 // entries of an earlier one were flushed; no other owner has the same
	epochs   *epochs
	ended    atomic.Bool
	proven   atomic.Bool  // an invalidation has been seen to arrive
	verified atomic.Int64 // send time of the latest command answered in order; clock ns

	proofs   chan struct{} // receives when an invalidation of the canary was applied …
	provenAt atomic.Int64  // … at this clock time
}

// End notes that the connection is gone. Like Flush it costs the same however many
// entries the connection owns.
func (o *Owner) End() { o.ended.Store(true) }

// Ended tells whether the connection is gone.
func (o *Owner) Ended() bool { return o.ended.Load() }

// Flush makes all entries that were read on o so far belong to an epoch that is over.
func (o *Owner) Flush() { o.epochs.begin(o) }

// Epoch is what an entry read on o now has to note.
func (o *Owner) Epoch() uint32 { return o.epoch.Load() }

// Local tells that there is no wire between this process and the data.
func (o *Owner) Local() bool { return o.local }

// lasts tells whether the ring has to keep the owner's present epoch. An untracked one
// stands in for a connection and is never ended; what is read for it is kept for a moment.
func (o *Owner) lasts() bool { return !o.Ended() && (!o.local || o.Proven()) }

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

// Proofs receives after Prove; one value stands for any number of calls.
func (o *Owner) Proofs() <-chan struct{} { return o.proofs }

// ProvenAt is the clock time of the last Prove, 0 if there was none.
func (o *Owner) ProvenAt() int64 { return o.provenAt.Load() }

// VerifiedAt is the send time of the latest command answered in order, in clock time.
func (o *Owner) VerifiedAt() int64 { return o.verified.Load() }

// epochs tells whose an epoch is: an entry notes no more than that one number of its
// connection. Epochs of long ago are forgotten; entries of them count as never verified.
type epochs struct {
	mu    sync.Mutex
	last  uint32
	owned [epochRing]atomic.Pointer[epoch]
}

type epoch struct {
	number uint32
	owner  *Owner
}

// epochRing is how many epochs entries can still refer to.
const epochRing = 4096

// begin gives an owner the next epoch. The ring keeps the present epoch of every owner that
// lasts, however often others are flushed.
func (e *epochs) begin(o *Owner) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range epochRing {
		e.last++
		was := e.owned[e.last%epochRing].Load()
		if e.last == 0 || was != nil && was.owner != o && was.number == was.owner.epoch.Load() && was.owner.lasts() {
			continue
		}
		break
	}
	e.owned[e.last%epochRing].Store(&epoch{e.last, o})
	o.epoch.Store(e.last)
}

// owner is whose an epoch is; nil: nobody knows any more.
func (e *epochs) owner(number uint32) *Owner {
	if at := e.owned[number%epochRing].Load(); at != nil && at.number == number {
		return at.owner
	}
	return nil
}

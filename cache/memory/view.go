package memory

import (
	"encoding/hex"
	"sync/atomic"
	"time"
)

// View is a record as it lies in memory, found by Look. It is valid until the pin is
// released under which it was looked up, and so is every slice that it gives: what
// outlives that is copied. The zero View is no record. It is safe for concurrent use.
type View struct {
	r  *record // in a segment; nil: e is an answer of its own, or there is nothing
	e  *Entry  // what there is to know of a value that is too large for segments
	sh *Shape
	at int64 // clock time of the look
}

// ViewOf is an answer of its own as a View, which is valid as long as the answer is.
func ViewOf(e *Entry) View { return View{e: e} }

// Found tells whether there is a record.
func (v View) Found() bool { return v.r != nil || v.e != nil }

// Entry is the record as an answer of its own, which needs no pin. It allocates, unless the
// record is large.
func (v View) Entry() *Entry {
	if v.e != nil || v.r == nil {
		return v.e
	}
	var e *Entry
	if v.Missing() {
		e, _ = layOut(v.sh, string(v.r.key()), "", nil, "", nil)
	} else {
		e, _ = layOut(v.sh, string(v.r.key()), v.sh.head, v.r.data(), v.sh.tail(), v.r.gzip())
	}
	e.hash, e.flags, e.etag, e.epoch = hashBytes(v.r.key()), v.r.flags(), v.r.etag, v.r.epoch
	e.expiry.Store(v.expiry(v.at))
	e.sharedExpiry = v.SharedExpiry(v.at)
	e.refreshAt.Store(timeOf(atomic.LoadUint32(&v.r.due), v.at))
	if v.Aged() {
		e.state.Or(stateAged)
	}
	return e
}

// Large tells whether answers with the record have to be counted by BeginSend. Entry then
// copies nothing.
func (v View) Large() bool { return v.e != nil && v.e.Large() }

// flags are those of NewEntry.
func (v View) flags() uint8 {
	if v.e != nil {
		return v.e.flags
	}
	return v.r.flags()
}

// Missing tells that the record does not exist.
func (v View) Missing() bool { return v.flags()&FlagMissing != 0 }

// Untracked tells that the record was read while no change would have been reported.
func (v View) Untracked() bool { return v.flags()&FlagUntracked != 0 }

// Sourced tells whether the record has a source.
func (v View) Sourced() bool { return v.flags()&FlagSourced != 0 }

// Parts are the answer with a record as a tier gives it, for its Shape: data and gzip are
// the record's own bytes, gzip nil where there is no such variant.
func (v View) Parts(sh *Shape) (head string, data []byte, tail string, gzip []byte) {
	switch {
	case v.Missing():
		return "", nil, "", nil
	case v.e != nil:
		return sh.head, v.e.Data(), sh.tail(), v.e.Gzip()
	}
	return sh.head, v.r.data(), sh.tail(), v.r.gzip()
}

// AppendETag appends the validator of the plain answer to dst; see Entry.AppendETag.
func (v View) AppendETag(dst []byte) []byte {
	if v.e != nil {
		return v.e.AppendETag(dst)
	}
	return appendETag(dst, &v.r.etag, v.enveloped())
}

// etag is what its validators are made of.
func (v View) etag() [etagBytes]byte {
	if v.e != nil {
		return v.e.etag
	}
	return v.r.etag
}

// dataBytes is the length of the record's data.
func (v View) dataBytes() int {
	switch {
	case v.Missing():
		return 0
	case v.e != nil:
		return len(v.e.Data())
	}
	return len(v.r.data())
}

func (v View) enveloped() bool { return v.sh.head != "" && !v.Missing() }

// appendETag appends a validator of bytes that tell the record, and with an envelope also
// the tier.
func appendETag(dst []byte, etag *[etagBytes]byte, envelope bool) []byte {
	if envelope {
		dst = append(dst, `W/`...)
	}
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, etag[:])
	return append(dst, '"')
}

// AppendGzipETag appends the validator of the gzip variant.
func (v View) AppendGzipETag(dst []byte) []byte {
	if v.e != nil {
		return v.e.AppendGzipETag(dst)
	}
	return appendGzipETag(v.AppendETag(dst), v.enveloped())
}

// appendGzipETag makes the validator that dst ends with that of the gzip variant.
func appendGzipETag(dst []byte, envelope bool) []byte {
	if !envelope {
		dst = append(append(dst[:len(dst)-1], GzipSuffix...), '"')
	}
	return dst
}

// epoch is that of the connection that the record was read on.
func (v View) epoch() uint32 {
	if v.e != nil {
		return v.e.epoch
	}
	return v.r.epoch
}

func (v View) expiry(now int64) int64 {
	if v.e != nil {
		return v.e.expiry.Load()
	}
	return timeOf(atomic.LoadUint32(&v.r.expiry), now)
}

// TTL is what is left of the record's own lifetime at clock time now.
func (v View) TTL(now int64) time.Duration { return time.Duration(v.expiry(now) - now) }

// SharedExpiry is the clock time at which the shared tier's copy expires, to within a
// millisecond; Never.
func (v View) SharedExpiry(now int64) int64 {
	if v.e != nil {
		return v.e.sharedExpiry
	}
	return timeOf(v.r.ends, now)
}

// RefreshDue tells whether a read that found ttl left of the record's life came late
// enough for a refresh. It costs one comparison.
func (v View) RefreshDue(ttl time.Duration) bool {
	if v.e != nil {
		return v.e.RefreshDue(ttl)
	}
	due := atomic.LoadUint32(&v.r.due)
	return due != noTick && v.at >= timeOf(due, v.at)
}

// TakeRefresh tells whether the record is due to be loaded anew at clock time now, and by
// the caller: of several callers the one that moves the time on to next has the task.
func (v View) TakeRefresh(now, next int64) bool {
	if v.e != nil {
		return v.e.TakeRefresh(now, next)
	}
	due := atomic.LoadUint32(&v.r.due)
	return due != noTick && now >= timeOf(due, now) && atomic.CompareAndSwapUint32(&v.r.due, due, tickOf(next, now))
}

// SetRefreshAt says from which clock time on the record is to be loaded anew.
func (v View) SetRefreshAt(at int64) {
	if v.e != nil {
		v.e.SetRefreshAt(at)
		return
	}
	atomic.StoreUint32(&v.r.due, tickOrNever(at, v.at))
}

// Age has a record of Each be fresh until a clock time at most, and loaded anew from
// refreshAt on, whether its key is hot or not: nobody tells of changes any more. A reader
// that meets it meanwhile may go by what was before.
func (v View) Age(until, refreshAt int64) {
	if v.e != nil {
		v.e.expiry.Store(min(until, v.e.expiry.Load())) // only under the partition's lock
		v.e.refreshAt.Store(min(refreshAt, v.e.refreshAt.Load()))
		v.e.state.Or(stateAged)
		return
	}
	if until < v.expiry(v.at) {
		atomic.StoreUint32(&v.r.expiry, tickOf(until, v.at))
	}
	atomic.OrUint32(&v.r.word, recordAged)
	if was := atomic.LoadUint32(&v.r.due); refreshAt < timeOf(was, v.at) {
		atomic.StoreUint32(&v.r.due, tickOrNever(refreshAt, v.at))
	}
}

// Aged tells whether the record was aged since it is kept.
func (v View) Aged() bool {
	if v.e != nil {
		return v.e.Aged()
	}
	return atomic.LoadUint32(&v.r.word)&recordAged != 0
}

// IsOf tells whether the record was made for a Shape.
func (v View) IsOf(shapeID uint32) bool {
	if v.r != nil {
		return v.r.shapeID() == shapeID&shapeMask
	}
	return v.e.shape == shapeID
}

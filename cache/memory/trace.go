package memory

import "encoding/hex"

// Trace is what is known of a record without its data: which one it is, who vouches for it,
// and until when.
type Trace struct {
	Epoch uint32
	ETag  [etagBytes]byte
	Owner *Owner // nil: so long ago that nobody knows any more
	Until int64  // clock time from which on it is not fresh
	Ends  int64  // clock time at which the shared tier's copy expires; Never
	Fresh bool   // when the trace was taken
}

// Trace is what is known of a record at clock time now. It needs no pin afterwards.
func (s *Store) Trace(v View, now int64) Trace {
	return Trace{
		Epoch: v.epoch(), ETag: v.etag(), Owner: s.epochs.owner(v.epoch()), Until: v.expiry(now), Ends: v.SharedExpiry(now),
		Fresh: !v.Untracked() && now < s.FreshUntil(v),
	}
}

// Is tells whether the record is, as far as can be seen, the one that was answered with this
// validator in this epoch.
func (v View) Is(etag [etagBytes]byte, epoch uint32) bool {
	return v.Found() && v.epoch() == epoch && v.etag() == etag
}

// Data is the record's bare JSON, nil for a missing one.
func (v View) Data() []byte {
	switch {
	case v.Missing():
		return nil
	case v.e != nil:
		return v.e.Data()
	}
	return v.r.data()
}

// TagText is a validator's text, without quotes.
func TagText(etag [etagBytes]byte) string { return hex.EncodeToString(etag[:]) }

package memory

import "time"

// View is a record as it lies in memory, found by Look. It is valid until the pin is
// released under which it was looked up, and so is every slice that it gives: what
// outlives that is copied. The zero View is no record. It is safe for concurrent use.
type View struct {
	e *Entry
}

// Found tells whether there is a record.
func (v View) Found() bool { return v.e != nil }

// Entry is the record as an answer of its own, which needs no pin. It allocates, unless the
// record is large.
func (v View) Entry() *Entry { return v.e }

// Large tells whether answers with the record have to be counted by BeginSend. Entry then
// copies nothing.
func (v View) Large() bool { return v.e.Large() }

// Missing tells that the record does not exist.
func (v View) Missing() bool { return v.e.Missing() }

// Parts are the answer with a record as a tier gives it, for its Shape: data and gzip are
// the record's own bytes, gzip nil where there is no such variant.
func (v View) Parts(sh *Shape) (head string, data []byte, tail string, gzip []byte) {
	if v.e.Missing() {
		return "", nil, "", nil
	}
	return sh.head, v.e.Data(), sh.tail(), v.e.Gzip()
}

// AppendETag appends the validator of the plain answer to dst; see Entry.AppendETag.
func (v View) AppendETag(dst []byte) []byte { return v.e.AppendETag(dst) }

// AppendGzipETag appends the validator of the gzip variant.
func (v View) AppendGzipETag(dst []byte) []byte { return v.e.AppendGzipETag(dst) }

// RefreshDue tells whether a read that found ttl left of the record's life came late
// enough for a refresh. It costs one comparison.
func (v View) RefreshDue(ttl time.Duration) bool { return v.e.RefreshDue(ttl) }

// TakeRefresh tells whether the record is due to be loaded anew at clock time now, and by
// the caller: of several callers the one that moves the time on to next has the task.
func (v View) TakeRefresh(now, next int64) bool { return v.e.TakeRefresh(now, next) }

// SetRefreshAt says from which clock time on the record is to be loaded anew.
func (v View) SetRefreshAt(at int64) { v.e.SetRefreshAt(at) }

// Aged tells whether the record was aged since it is kept.
func (v View) Aged() bool { return v.e.Aged() }

// ViewOf is an answer of its own as a View, which is valid as long as the answer is.
func ViewOf(e *Entry) View { return View{e} }

// Pin keeps what Look finds where it is: memory that a record leaves is not used again
// before all pins are released that were taken before. It is held for as long as it takes
// to copy an answer, never over a wait or a system call. The zero Pin holds nothing.
type Pin struct{}

// Pin takes a pin. Callers on one processor pass the same stripe, others another one, so
// that none of them writes to what another writes to.
func (s *Store) Pin(stripe uint32) Pin { return Pin{} }

// Release ends the pin, once.
func (p Pin) Release() {}

// Look looks up a fresh record, the fast path of every read, under a pin of the caller's.
// ttl is what is left of its lifetime, should its link go on proving itself. It does not
// allocate, takes no lock, and keeps nothing of key. now must have been read after the
// request arrived.
func (s *Store) Look(sh *Shape, key []byte, now time.Time) (v View, ttl time.Duration) {
	e, ttl := s.Hit(sh, key, now)
	return View{e}, ttl
}

// Peek looks up a record, fresh or not, under a pin of the caller's.
func (s *Store) Peek(sh *Shape, key []byte) View { return View{s.Find(sh, key)} }

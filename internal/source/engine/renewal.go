package engine

import (
	"log/slog"
	"sync"
)

// Renewal is what connections are made with: account and certificates, as they are
// when a connection is made, so that what is rotated on disk counts without a reload.
// While it cannot be read, as in the middle of a rotation, what was read last is
// used: the database alone can tell whether it is still good. It is safe for
// concurrent use.
type Renewal[T any] struct {
	read func() (T, error)
	log  *slog.Logger // nil: nothing is logged

	mu   sync.Mutex
	last T
	told string // the fault that the log has, "" for none
}

// NewRenewal begins with what was read already.
func NewRenewal[T any](first T, log *slog.Logger, read func() (T, error)) *Renewal[T] {
	return &Renewal[T]{read: read, log: log, last: first}
}

// Now reads again. No caller waits for another one's reading.
func (r *Renewal[T]) Now() T {
	fresh, err := r.read()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.last, r.told = fresh, ""
		return fresh
	}
	if r.told != err.Error() && r.log != nil {
		r.log.Warn("what a key names cannot be read again; what was read before is still used", "error", err)
	}
	r.told = err.Error()
	return r.last
}

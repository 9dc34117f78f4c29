package source

import (
	"context"
	"time"
)

// Term is what a source says of how long its answer may be kept, the answer that
// there is no record included. The zero Term leaves that to the configuration.
type Term struct {
	// Unshared says why the answer is for the one who asked, and for nobody else: it
	// is neither kept nor given to others that wait for the same record. "": it is
	// not. The text is for the log.
	Unshared string
	// Most bounds how long it may be kept; 0: nothing does.
	Most time.Duration
}

// Within is a lifetime, as long as the source allows.
func (t Term) Within(life time.Duration) time.Duration {
	if t.Most > 0 {
		return min(life, t.Most)
	}
	return life
}

// Termed is implemented by Records whose source says how long its answers may be
// kept, and whether a record is still the one that the caller has.
type Termed interface {
	Records
	// LoadTermed is Load that tells the Term, too, also with ErrNoRecord. known is
	// the record as the caller has it, nil if it has none: when the source says that
	// it has not changed, known itself is returned.
	LoadTermed(ctx context.Context, args Args, known []byte) (record []byte, t Term, err error)
}

// SpareError marks an error (also of ErrDown) with which a source asks to be left
// alone for a while.
type SpareError struct {
	Err   error
	After time.Duration
}

func (e *SpareError) Error() string { return e.Err.Error() }

// Unwrap returns what has happened.
func (e *SpareError) Unwrap() error { return e.Err }

package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Moves is what the engines of servers have for databases that move: behind the name
// or the address another server is the primary, and what is open leads to the old one,
// which is dead, or lives and takes no writes. Nobody tells. So a connection that is
// lost, and an answer that a server takes no writes, are signs that all connections of
// the pool may lead to the wrong place. They are given up together, and the name is
// resolved and dialled anew.
//
// Both cost dials, so both are bounded: a database that is read-only for good, or that
// ends connections all the time, is asked once in renewEvery whether it has moved.
type Moves struct {
	// Renew ends the idle connections; those in use end when they are given back.
	Renew func()
	// Dial makes a connection beside the pool and ends it again. It fails unless that
	// leads to a server which takes writes.
	Dial func(ctx context.Context) error
	// Strict says whether connections to a server that takes no writes are of no
	// use, not even for reads.
	Strict func() bool

	number atomic.Uint64 // how often the pool was renewed
	turn   chan struct{} // held by the one that dials

	mu      sync.Mutex
	renewed time.Time // when Lost last renewed the pool
	sought  time.Time // when Seek last dialled, …
	found   bool      // … and whether that led to a primary; both by the holder of turn
}

// renewEvery is the least time between two renewals for one reason.
const renewEvery = time.Second

// ErrNoPrimary says that there is no server to be found that takes writes.
var ErrNoPrimary = errors.New("no server that takes writes was found")

// NewMoves makes Moves, of which the fields are still to be set.
func NewMoves() *Moves { return &Moves{turn: make(chan struct{}, 1)} }

// Number tells connections apart: one that is dialled belongs to the number from
// before its dial, and is to be given up when there is a higher one.
func (m *Moves) Number() uint64 { return m.number.Load() }

// Lost notes that a connection was lost: the others may be as dead.
func (m *Moves) Lost() {
	m.mu.Lock()
	due := time.Since(m.renewed) >= renewEvery
	if due {
		m.renewed = time.Now()
	}
	m.mu.Unlock()
	if due {
		m.renew()
	}
}

// renew counts first, so that no connection of before passes for one of after.
func (m *Moves) renew() {
	m.number.Add(1)
	m.Renew()
}

// Seek looks for a server that takes writes, after an answer that one does not, from a
// connection of the number seen. If there is one, the pool is renewed, and true says
// that the same call may succeed on another connection. Calls that fail together look
// once: the others wait, and find a higher number. Who asks again within renewEvery gets
// the answer of before: behind a balancer one connection may lead to a primary and the
// next one to a standby. Within ctx.
func (m *Moves) Seek(ctx context.Context, seen uint64) bool {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return false
	}
	if m.Number() > seen {
		return true
	}
	if time.Since(m.sought) < renewEvery {
		return m.found
	}
	m.found = m.Dial(ctx) == nil
	m.sought = time.Now()
	if m.found || m.Strict() && ctx.Err() == nil {
		m.renew()
	}
	return m.found
}

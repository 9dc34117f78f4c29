package feed

import "sync/atomic"

// Numbers are what the feed counts. Counters only grow.
type Numbers struct {
	Drained atomic.Int64 // rows of the outbox whose records were removed one by one
	Own     atomic.Int64 // copies that were left, for the write itself has put them there
	Flushed atomic.Int64 // rows that said that everything has changed
	Unknown atomic.Int64 // rows that nobody understands, by which everything was removed
	Keys    atomic.Int64 // records removed one by one
	Flushes atomic.Int64 // removals of all records of a resource
	Errors  atomic.Int64 // rounds that failed

	Backlog atomic.Int64 // rows that wait, as this instance has seen last
	Oldest  atomic.Int64 // age of the oldest of them; ns
	Leader  atomic.Bool  // this instance drains
}

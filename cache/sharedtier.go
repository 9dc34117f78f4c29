package cache

import (
	"context"
	"time"

	"hearth/cache/shared"
)

// SharedTier is the shared tier as this package needs it: plain keys and JSON
// values, with placeholders (leases and guards) that stand in a key's place
// while its value is on the way. Redis and the embedded file implement it; one
// contract suite runs against both.
//
// Every method keeps the deadline of ctx and is safe for concurrent use. An
// error that wraps shared.ErrAway says that the tier could not be asked, one
// that wraps ErrRefused that it refuses this command or key.
type SharedTier interface {
	Name() string // that of its Tier
	Open() error  // starts it
	Up() error    // why nothing of it can be asked, nil if something can
	Close()       // ends it; also after an Open that failed

	reader
	leaser
	guarder
	refresher
	outdater
	keeper
}

// reader reads keys. Track is the only way into memory. What a server answers that may lack
// the latest writes is marked as Unreported by all but Get, which refuses to read it.
type reader interface {
	// Readable returns why key cannot be read now, nil if it can.
	Readable(key string) error
	// Get reads untracked: what it returns may be answered, not stored.
	Get(ctx context.Context, key string) (shared.Content, error)
	// Value and Values read untracked, each key with one command, and several in one
	// round trip. What is left of their lifetimes is not told. Contents and errors of
	// Values are per key.
	Value(ctx context.Context, key string) (shared.Content, error)
	Values(ctx context.Context, keys []string) []shared.Found
	// Settle tells whether memory was told of every change of key that a read which has come
	// back can have seen, as far as it is told at all. It is for a tier that reports no
	// changes on a wire, and may wait for what is on its way. On one that does, the answer
	// to a later command on that wire tells, and Settle returns true.
	Settle(ctx context.Context, key string) bool
	// Track reads keys in one round trip, and binds their flights to the
	// connection that will report changes. Contents and errors are per key.
	Track(ctx context.Context, keys []string) []shared.Found
}

// leaser hands out the right to fill a key.
type leaser interface {
	// Acquire puts a lease in the place of nothing or, with instead, of
	// exactly those bytes. Otherwise it returns what stands there.
	Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error)
	// Fill replaces the lease by value; false: the lease is gone, and so is
	// the right to store what was loaded under it.
	Fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error)
	// Release removes the lease if it still stands.
	Release(ctx context.Context, key, token string) error
}

// guarder keeps readers from filling a key while its record is being written.
type guarder interface {
	// Guard joins the guard that stands in key, or replaces whatever else does.
	Guard(ctx context.Context, key, token string) error
	// RenewGuards prolongs guards, all of them in one round trip, and tells of
	// each what it found.
	RenewGuards(ctx context.Context, guards []shared.HeldGuard) []shared.Renewal
	// Unguard takes token out. The last one deletes the key, or puts value
	// there (nil: nothing) if the guard never had company. own tells that the
	// change feed is going to tell of this write by its token: a value that is
	// put is then marked, so that Outdate leaves it.
	Unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration, own bool) error
}

// refresher renews values that stand, ahead of their expiry. The lease of a
// refresh stands beside the value, so readers go on being answered.
type refresher interface {
	// Claim takes the refresh lease of key while exactly the bytes was stand
	// there, with an expiry, which it returns (unix ms). ok is false when they
	// do not, or another refresh of the key is under way.
	Claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error)
	// Refresh stores value if the refresh lease still stands, and bytes and
	// expiry are what Claim saw; else it stores nothing and returns false.
	Refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error)
	// Disclaim gives the refresh lease back if it still stands.
	Disclaim(ctx context.Context, key, token string) error
}

// outdater takes away what others have made old.
type outdater interface {
	// Outdate removes what stands in keys whose records have changed in their
	// source, and ends loads and refreshes of them. A guard of others stays, marked
	// as shared. It returns nil when all of it is done, and confirmed by as many
	// replicas as a guard has to be; after an error nobody knows what was done, and
	// the caller does all of it again. It sets Kept of those that it left.
	Outdate(ctx context.Context, keys []shared.Outdated) error
	// Sweep is Outdate for all keys of the tier that match pattern, a pattern of
	// Redis, and that match says yes to, which may be called from several goroutines.
	// A key that stands from its beginning to its end is met; n counts the steps, and a
	// key may be met twice. It is slow, and holds nobody up: ctx is its deadline.
	Sweep(ctx context.Context, pattern string, match func(key string) bool) (n int64, err error)
	// Generation tells whether the tier may have lost what it was told.
	Generation() shared.Generation
	// Lead takes the lease in key for holder, which has no space in it, or renews
	// it. What stands there then is the text of whoever holds it: its holder, a
	// space, and the note. A lease of an hour and more outlives the process.
	Lead(ctx context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error)
	// Peek returns what stands in the key of such a lease, nil for nothing.
	Peek(ctx context.Context, key string) (standing []byte, err error)
	// Yield gives that lease back if it is still the holder's.
	Yield(ctx context.Context, key, holder string) error
}

// keeper writes plain values.
type keeper interface {
	// Set stores items in one pipeline, for ttl, which is a millisecond at least, or
	// without expiry if it is 0, whatever expiry the keys had. errs is nil when all
	// were acknowledged, else errs[i] belongs to items[i].
	Set(ctx context.Context, items []Item, ttl time.Duration) (errs []error)
	// SetFor writes value, for ttl.
	SetFor(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Remove deletes keys. A guard that stands in one stays, marked as shared. copies
	// tells that the keys hold copies of records that have a source.
	Remove(ctx context.Context, keys []string, copies bool) error
	// Add adds n to the number at key and returns the sum. It is done at most
	// once; an error leaves open whether it was.
	Add(ctx context.Context, key string, n int64) (int64, error)
	// Count reads the number at key, 0 if there is none.
	Count(ctx context.Context, key string) (int64, error)
}

package cache

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/limit"
)

// tier is the shared tier as the rest of the package sees it: plain keys and
// JSON values, with placeholders (leases and guards) that stand in a key's
// place while its value is on the way. Redis and the embedded file implement
// it; one contract suite runs against both.
//
// Every method keeps the deadline of ctx and is safe for concurrent use. An
// error that wraps errDown says that the tier could not be asked.
type tier interface {
	reader
	leaser
	guarder
	refresher
	keeper
	limit.Store
	name() Tier
	up() error // why it cannot be asked, nil if it can
	close()
}

// reader reads keys. track is the only way into memory.
type reader interface {
	// get reads untracked: what it returns may be answered, not stored.
	get(ctx context.Context, key string) (reply, error)
	// track reads the keys of flights in one round trip and binds them to
	// the connection that will report changes. Replies and errors are per flight.
	track(ctx context.Context, flights []*flight) []tracked
}

// tracked is what became of one tracked read.
type tracked struct {
	reply
	expiry int64 // clock time until which the copy may be trusted; lifetimes count from the send time
	flags  uint8
	err    error
}

// leaser hands out the right to fill a key.
type leaser interface {
	// acquire puts a lease in the place of nothing or, with instead, of
	// exactly those bytes. Otherwise it returns what stands there.
	acquire(ctx context.Context, key, token string, instead []byte) (reply, error)
	// fill replaces the lease by value; false: the lease is gone, and so is
	// the right to store what was loaded under it.
	fill(ctx context.Context, key, token string, value []byte, ttl time.Duration) (bool, error)
	// release removes the lease if it still stands.
	release(ctx context.Context, key, token string) error
}

// guarder keeps readers from filling a key while its record is being written.
type guarder interface {
	guard(ctx context.Context, key, token string) error
	// uphold prolongs guards, all of them in one round trip, and tells of each
	// what it found.
	uphold(ctx context.Context, guards []kept) []upheld
	// unguard takes token out. The last one deletes the key, or puts value
	// there (nil: nothing) if the guard never had company.
	unguard(ctx context.Context, key, token string, value []byte, ttl time.Duration) error
}

// kept is a guard to be prolonged. One that is gone is set anew if the writer has
// sent its COMMIT, else it stays gone, and the writer must abort.
type kept struct {
	key, token string
	anew       bool
}

// upheld is what became of one of them.
type upheld struct {
	state upheldState
	err   error
}

type upheldState uint8

const (
	guardGone upheldState = iota
	guardStood
	// guardRestored: it was gone. What others put there meanwhile is gone now; it
	// counts as shared, for others may have committed meanwhile, too.
	guardRestored
)

// refresher renews values that stand, ahead of their expiry. The lease of a
// refresh stands beside the value, so readers go on being answered.
type refresher interface {
	// claim takes the refresh lease of key while exactly the bytes was stand
	// there, with an expiry, which it returns (unix ms). ok is false when they
	// do not, or another refresh of the key is under way.
	claim(ctx context.Context, key, token string, was []byte) (expires int64, ok bool, err error)
	// refresh stores value if the refresh lease still stands, and bytes and
	// expiry are what claim saw; else it stores nothing and returns false.
	refresh(ctx context.Context, key, token string, was []byte, expires int64, value []byte, ttl time.Duration) (bool, error)
	// disclaim gives the refresh lease back if it still stands.
	disclaim(ctx context.Context, key, token string) error
}

// keeper writes plain values.
type keeper interface {
	// set stores items without expiry in one pipeline; errs is nil when all
	// were acknowledged, else errs[i] belongs to items[i].
	set(ctx context.Context, items []Item) (errs []error)
	remove(ctx context.Context, keys []string) error
	// add adds n to the number at key and returns the sum. It is done at most
	// once; an error leaves open whether it was.
	add(ctx context.Context, key string, n int64) (int64, error)
	count(ctx context.Context, key string) (int64, error)
}

// kind says what stands in a key.
type kind uint8

const (
	kindNone  kind = iota // no such key
	kindValue             // JSON
	kindNull              // JSON null: there is no such record
	kindLease
	kindGuard
	kindBad // neither JSON nor a placeholder, or no string at all
)

// reply is the content of one key.
type reply struct {
	kind kind
	data []byte        // value, or the raw bytes of what is bad; immutable
	text string        // the placeholder
	ttl  time.Duration // remaining; 0: none known
}

func (r reply) isPlaceholder() bool { return r.kind == kindLease || r.kind == kindGuard }

const (
	leasePrefix   = "lease:"
	guardPrefix   = "guard:"
	sharedPrefix  = "guard+:"
	refreshPrefix = "hearth:refresh:" // of sibling keys
)

// siblingOf is the key in which a refresh of key stands, "" if there can be
// none: in a Cluster both must live in one slot, and the slot of a key with
// braces of its own is that of what stands between them.
func siblingOf(key string) string {
	if strings.ContainsAny(key, "{}") {
		return ""
	}
	return refreshPrefix + "{" + key + "}"
}

// classify reads what a key holds. It is the one place where a value of the
// shared tier is checked to be JSON: other programs write the same keys.
func classify(raw []byte, ttl time.Duration) reply {
	switch {
	case bytes.HasPrefix(raw, []byte(leasePrefix)):
		return reply{kind: kindLease, text: string(raw), ttl: ttl}
	case bytes.HasPrefix(raw, []byte(guardPrefix)), bytes.HasPrefix(raw, []byte(sharedPrefix)):
		return reply{kind: kindGuard, text: string(raw), ttl: ttl}
	case bytes.Equal(jsonvalue.Trim(raw), null): // other programs may write it with spaces
		return reply{kind: kindNull, data: null, ttl: ttl}
	case !isJSON(raw):
		return reply{kind: kindBad, data: raw, ttl: ttl}
	}
	return reply{kind: kindValue, data: raw, ttl: ttl}
}

// newToken returns 96 random bits: a token is one attempt's alone, or a fill
// could be taken for another's.
func newToken() string {
	var raw [12]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	return hex.EncodeToString(raw[:])
}

// errDown is the cause of every refusal to ask a tier known to be away.
var errDown = errors.New("shared tier is away")

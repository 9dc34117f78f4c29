package shared

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"hearth/internal/jsonvalue"
)

// State says what stands in a key. The steps that change it are those of the protocol
// (docs/consistency.md, cache/protocol); each is atomic:
//
//	          Acquire             Fill
//	Absent ───────────► Lease ───────────► Value, NoRecord ───┐ Refresh
//	 ▲ ▲ ▲                │                   │   ▲   ▲       │
//	 │ │ └────────────────┘                   │   │   └───────┘
//	 │ │  Release, its lifetime               │   │
//	 │ └──────────────────────────────────────┘   │
//	 │    Remove, its lifetime                    │
//	 │                                            │
//	 └─────────────────── Guard ──────────────────┘
//	  Unguard of the        ▲     Unguard of the last, with a record,
//	  last, its lifetime    │     if the guard was never shared
//	                        │
//	     Guard, from any state; RenewGuards, if it is lost behind a COMMIT
//
// Acquire also replaces exactly the bytes that it is given, as those that are Malformed.
// Guard joins a guard that it finds, and marks it as shared. An Unguard that leaves the
// tokens of others behind leaves a Guard, marked as shared if its own token was lost; one
// that finds no guard leaves Absent, whatever stood there, and so does Remove.
//
// Other programs may write any value at any time. That voids a lease, and a guard is set
// again over it before its writer commits.
type State uint8

// The states of a key.
const (
	Absent    State = iota // no such key
	Value                  // JSON
	NoRecord               // JSON null: there is no such record
	Lease                  // a load is under way
	Guard                  // a write is under way, or several
	Malformed              // neither JSON nor a placeholder, or no string at all
)

// Content is what stands in one key.
type Content struct {
	State State
	Data  []byte        // value, or the raw bytes of what is malformed; immutable
	Text  string        // the placeholder, or a missing record as it is written
	TTL   time.Duration // remaining; 0: none known

	// Unreported tells that a change of the key may be reported to nobody, so that no
	// memory may keep what stands there.
	Unreported bool
}

// Bytes are what stands there, as Acquire compares it.
func (c Content) Bytes() []byte {
	switch c.State {
	case Lease, Guard, NoRecord:
		return []byte(c.Text)
	}
	return c.Data
}

// Found is what one read of several has found in its key, or why it found nothing.
type Found struct {
	Content
	Err error
}

// IsPlaceholder tells that the key holds no value, but the sign that one is on its way.
func (c Content) IsPlaceholder() bool { return c.State == Lease || c.State == Guard }

// The beginnings of the text of a placeholder. The lease token, or the guard tokens with
// their deadlines, stand behind it.
const (
	LeasePrefix  = "lease:"
	GuardPrefix  = "guard:"
	SharedPrefix = "guard+:" // of a guard that was shared once
)

// RefreshPrefix begins the keys in which leases of refreshes stand.
const RefreshPrefix = "hearth:refresh:"

// SiblingOf is the key in which the lease of a refresh of key stands, "" if there can be
// none: in a Cluster both must live in one slot, and the slot of a key with braces of its
// own is that of the text between them.
func SiblingOf(key string) string {
	if strings.ContainsAny(key, "{}") {
		return ""
	}
	return RefreshPrefix + "{" + key + "}"
}

// MarkPrefix begins the keys that tell when a record was loaded while the feed that tells
// of its changes was lost.
const MarkPrefix = "hearth:loaded:"

// MarkOf is the key of the mark of key, in a Cluster in the same slot unless the braces of
// key are odd.
func MarkOf(key string) string {
	if strings.ContainsAny(key, "{}") {
		return MarkPrefix + key
	}
	return MarkPrefix + "{" + key + "}"
}

var null = []byte("null")

// Parse reads what a key holds; ttl is what is left of its lifetime. It is the one place
// where a value of the shared tier is checked to be JSON: other programs write the same
// keys. The content aliases raw.
func Parse(raw []byte, ttl time.Duration) Content {
	switch {
	case len(raw) > 0 && raw[0] == '{' && isJSON(raw): // nearly all
		return Content{State: Value, Data: raw, TTL: ttl}
	case bytes.HasPrefix(raw, []byte(LeasePrefix)):
		return Content{State: Lease, Text: string(raw), TTL: ttl}
	case bytes.HasPrefix(raw, []byte(GuardPrefix)), bytes.HasPrefix(raw, []byte(SharedPrefix)):
		return Content{State: Guard, Text: string(raw), TTL: ttl}
	case bytes.Equal(jsonvalue.Trim(raw), null): // other programs may write it with spaces
		return Content{State: NoRecord, Data: null, Text: string(raw), TTL: ttl}
	case !isJSON(raw):
		return Content{State: Malformed, Data: raw, TTL: ttl}
	}
	return Content{State: Value, Data: raw, TTL: ttl}
}

// rememberFrom is the size in bytes from which on a value that was found to be
// JSON is remembered.
const rememberFrom = 64 << 10

var validSeed = maphash.MakeSeed()

// seenValid are hashes of large values that were found to be JSON.
var seenValid [256]atomic.Uint64

// isJSON tells whether raw is JSON. Checking megabytes takes long, and a large value that
// memory does not keep comes with each read: one that was found to be JSON before is
// known by its hash, with a seed that is known to this process only.
func isJSON(raw []byte) bool {
	if len(raw) < rememberFrom {
		return jsonvalue.Valid(raw)
	}
	hash := maphash.Bytes(validSeed, raw)
	at := &seenValid[hash%uint64(len(seenValid))]
	if at.Load() == hash {
		return true
	}
	if !jsonvalue.Valid(raw) {
		return false
	}
	at.Store(hash)
	return true
}

// ParseCount reads the number of a counter. An error wraps ErrRefused.
func ParseCount(key string, text []byte) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: key %q holds no number that can be counted; delete it, or write one there", ErrRefused, key)
	}
	return n, nil
}

// Item is one value of a batch. Value is a JSON object. Key and Value are immutable; a
// slice of items is its maker's, also while a tier still works on what they name.
type Item struct {
	Key   string
	Value []byte
}

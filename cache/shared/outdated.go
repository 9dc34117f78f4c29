package shared

import (
	"strings"
	"time"
)

// Outdated is a key whose record may have changed in its source: what stands in the key
// may be older, and so may be what is being loaded or read back for it.
//
// It must be told only when every load that begins from then on sees the change.
// Otherwise the record of before comes back behind it.
type Outdated struct {
	Key string
	// Writer is the token of the guard under which Hearth itself made the change, "" for
	// a change of others. What that writer has read back contains the change, so the
	// record that it puts in the key stays.
	Writer string
	// Kept is set by a tier that has found the record of Writer in the key, and left it.
	Kept bool
}

// OwnPrefix begins the keys in which the marks of own writes stand.
const OwnPrefix = "hearth:own:"

// OwnFor is how long a mark of an own write stands. A change that is told later removes
// the record, which costs a load.
const OwnFor = time.Minute

// OwnOf is the key in which the mark of an own write of key stands, "" if there can be
// none; see SiblingOf.
func OwnOf(key string) string {
	if strings.ContainsAny(key, "{}") {
		return ""
	}
	return OwnPrefix + "{" + key + "}"
}

// Generation tells whether a shared tier may have lost what it was told. Numbers only grow
// while the process runs, and say nothing of the time before.
//
// It cannot tell of a FLUSHALL, nor need it: an empty tier holds nothing old.
type Generation struct {
	// Number grows whenever a server takes another's place, or starts again, or the file
	// of the embedded tier is replaced: what was outdated at the one before may stand
	// there as it was. What this process has outdated within the last minute does not.
	Number int64
	// Forgotten grows with Number, when that was more than this process remembers.
	Forgotten int64
}

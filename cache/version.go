package cache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"sync/atomic"

	"hearth/cache/memory"
)

// A version is the token of writes that are over. It says nothing of what was written: it
// only has a name of its own that nobody can know before the shared tier has confirmed the
// writes. So when an instance first sees it, they are over, and whatever it reads from
// the shared tier from then on contains them. No clock is compared with another one, no
// instance has to tell another one anything, and what a client makes up costs it no more than
// a read of the shared tier.
//
//	format | number of keys | hash of each key, none for "any key" | name
//
// in base64url. It is opaque to clients.

const (
	versionFormat = 1
	versionName   = 12 // bytes of the name
	versionHash   = 8
	// mostVersionKeys is how many keys a version names. One for more concerns any key.
	mostVersionKeys = 4
	// mostVersions is how many versions a client may send at a time.
	mostVersions = 16
)

var versionText = base64.RawURLEncoding.Strict()

// NewVersion is a version token for writes of keys that are over: what a client sends back with
// its reads (Hearth-Version). It is made after the write is confirmed by the shared tier.
func (c *Cache) NewVersion(keys ...string) string {
	if len(keys) > mostVersionKeys {
		keys = nil
	}
	raw := append(make([]byte, 0, 2+versionHash*mostVersionKeys+versionName), versionFormat, byte(len(keys)))
	for _, key := range keys {
		hash := versionHashOf(key)
		raw = append(raw, hash[:]...)
	}
	name := raw[len(raw) : len(raw)+versionName]
	if _, err := rand.Read(name); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	return versionText.EncodeToString(raw[:len(raw)+versionName])
}

// versionHashOf is the same on all instances. Of two keys with one hash the reads of either
// go to the shared tier once more.
func versionHashOf(key string) (hash [versionHash]byte) {
	sum := sha256.Sum256([]byte(key))
	copy(hash[:], sum[:])
	return hash
}

// SinceOf is Demand.Since for a read of key by a client that sends these versions: the clock time
// at which this instance first saw the newest of them that concerns the key, 0 if none does.
// What is no version is reported by ok.
func (c *Cache) SinceOf(versions []byte, key string) (since int64, ok bool) {
	hash := versionHashOf(key)
	n := 0
	for one := range bytes.SplitSeq(versions, []byte(",")) {
		if one = bytes.Trim(one, " \t"); len(one) == 0 {
			continue
		}
		if n++; n > mostVersions {
			return 0, false
		}
		name, concerns, ok := parseVersion(one, hash)
		if !ok {
			return 0, false
		}
		if concerns {
			since = max(since, c.versions.seen(name, c.store.Now()))
		}
	}
	return since, true
}

// parseVersion returns the name of a version, and whether it concerns the key with that hash.
func parseVersion(text []byte, hash [versionHash]byte) (name [versionName]byte, concerns, ok bool) {
	var raw [2 + versionHash*mostVersionKeys + versionName]byte
	if versionText.DecodedLen(len(text)) > len(raw) || bytes.ContainsAny(text, "\r\n") { // which decoding leaves out
		return name, false, false
	}
	n, err := versionText.Decode(raw[:], text)
	if err != nil || n < 2+versionName || raw[0] != versionFormat || n != 2+int(raw[1])*versionHash+versionName {
		return name, false, false
	}
	hashes := raw[2 : n-versionName]
	concerns = len(hashes) == 0
	for ; len(hashes) > 0; hashes = hashes[versionHash:] {
		concerns = concerns || [versionHash]byte(hashes) == hash
	}
	return [versionName]byte(raw[n-versionName:]), concerns, true
}

// versions are those that were seen here, and when first: 64 Ki of them in a megabyte and a
// half, which is made when the first comes. One that is forgotten counts as seen for the first
// time when it comes again, which costs a read of the shared tier.
type versions struct {
	table atomic.Pointer[versionTable]
}

type versionTable [256]struct {
	sync.Mutex
	sets [64][4]seenVersion
}

type seenVersion struct {
	name  [versionName]byte
	first int64 // clock time; 0: nothing is here
}

// seen is when a version was first seen, now at the latest. In a full set it takes the place
// of the oldest: what was first seen longest ago is met by most copies in memory.
func (v *versions) seen(name [versionName]byte, now int64) int64 {
	t := v.table.Load()
	for t == nil {
		v.table.CompareAndSwap(nil, &versionTable{})
		t = v.table.Load()
	}
	at, within := versionPlace(name)
	stripe := &t[at]
	set := &stripe.sets[within]
	stripe.Lock()
	defer stripe.Unlock()
	oldest := 0
	for i := range set {
		if set[i].first > 0 && set[i].name == name {
			return set[i].first
		}
		if set[i].first < set[oldest].first {
			oldest = i
		}
	}
	set[oldest] = seenVersion{name, now}
	return now
}

// versionPlace is the stripe of a version, and its set there, by a seed of this process:
// nobody can choose names that fall on one place.
func versionPlace(name [versionName]byte) (stripe, set int) {
	hash := memory.HashKey(string(name[:]))
	return int(hash % 256), int(hash / 256 % 64)
}

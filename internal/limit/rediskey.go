package limit

import (
	"strconv"
	"strings"
	"sync"
)

// redisKeys makes the keys that decide about a subject.
type redisKeys struct {
	slot     func(key string) uint16   // the hash slot that a key falls into
	slotTags func() *[hashSlots]uint32 // for each slot a number whose digits hash to it
}

// hashSlots is how many hash slots the keys of a Cluster fall into.
const hashSlots = 16384

// subjectKeys are the keys in Redis that decide about one subject: its own with its side
// key, and that of the common count, with a side key for the script's sake. For
// hearth:limit:{api:53616c}, which names limit and subject, they are
// hearth:limit:{2741}:api and hearth:limit:{api:*}.
type subjectKeys struct {
	limit, subject string
	own, common    []string
}

func newRedisKeys(slot func(string) uint16) redisKeys {
	return redisKeys{slot: slot, slotTags: sync.OnceValue(func() *[hashSlots]uint32 {
		var tags [hashSlots]uint32
		for n, found := uint32(1), 0; found < hashSlots; n++ {
			if slot := slot(strconv.Itoa(int(n))); tags[slot] == 0 {
				tags[slot] = n
				found++
			}
		}
		return &tags
	})}
}

func (r redisKeys) keysOf(key string) subjectKeys {
	limit, subject := splitKey(key)
	common := limit + "*}"
	return subjectKeys{limit: limit, subject: subject, own: []string{key, r.sideKeyOf(key)}, common: []string{common, r.sideKeyOf(common)}}
}

// sideKeyOf is a key that lives in the slot of a limit's key, and is the same for all
// keys of the limit that live there.
func (r redisKeys) sideKeyOf(key string) string {
	prefix, tag, braced := strings.Cut(strings.TrimSuffix(key, "}"), "{")
	if !braced { // not made by this package: all of it is hashed
		prefix, tag = keyPrefix, key
	}
	name, _, _ := strings.Cut(tag, ":")
	return prefix + "{" + strconv.Itoa(int(r.slotTags()[r.slot(tag)])) + "}:" + name
}

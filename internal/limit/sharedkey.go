package limit

import (
	"strconv"
	"strings"
)

// sharedKeys are the keys in Redis that decide about one subject: its own and its
// annex, and the count that subjects without a key share, with an annex for the
// script's sake. For hearth:limit:{api:53616c}, which names limit and subject,
// they are hearth:limit:{2741}:api and hearth:limit:{api:*}.
type sharedKeys struct {
	limit, subject string
	own, shared    []string
}

func (s *RedisStore) keysOf(key string) sharedKeys {
	at := strings.LastIndexByte(key, ':') + 1
	k := sharedKeys{limit: key[:at], subject: strings.TrimSuffix(key[at:], "}")}
	shared := k.limit + "*}"
	k.own, k.shared = []string{key, s.annexOf(key)}, []string{shared, s.annexOf(shared)}
	return k
}

// annexOf is a key that lives in the slot of a limit's key, and is the same for
// all keys of the limit that live there.
func (s *RedisStore) annexOf(key string) string {
	prefix, tag, braced := strings.Cut(strings.TrimSuffix(key, "}"), "{")
	if !braced { // no limit's key: all of it is hashed
		prefix, tag = "hearth:limit:", key
	}
	name, _, _ := strings.Cut(tag, ":")
	return prefix + "{" + strconv.Itoa(int(s.slotTags()[s.redis.Slot(tag)])) + "}:" + name
}

// findSlotTags finds a number for each hash slot whose digits hash to it.
func (s *RedisStore) findSlotTags() *[hashSlots]uint32 {
	var tags [hashSlots]uint32
	for n, found := uint32(1), 0; found < hashSlots; n++ {
		if slot := s.redis.Slot(strconv.Itoa(int(n))); tags[slot] == 0 {
			tags[slot] = n
			found++
		}
	}
	return &tags
}

// hashSlots is how many hash slots the keys of a Cluster fall into.
const hashSlots = 16384

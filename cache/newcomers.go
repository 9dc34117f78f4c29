package cache

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"hearth/internal/limit"
)

// newcomers bounds how many subjects of one limit this process writes to Redis
// that are not there yet. Their keys live for three windows, so the longer the
// window the fewer they are: newPerWindow in each, spread over it, and as many
// at once as a service has clients that come together when it starts.
type newcomers struct {
	mu    sync.Mutex
	left  float64
	asked time.Time // when left was reckoned; zero: never
}

const (
	newPerWindow = 360_000 // 100 a second in windows of an hour
	newAtOnce    = 20_000
)

// admit tells whether one more may be written now.
func (n *newcomers) admit(rate limit.Rate, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	perSecond := newPerWindow / rate.Window.Seconds()
	most := max(newAtOnce, perSecond)
	if n.asked.IsZero() {
		n.left = most
	} else {
		n.left = min(most, n.left+perSecond*now.Sub(n.asked).Seconds())
	}
	n.asked = now
	if n.left < 1 {
		return false
	}
	n.left--
	return true
}

// giveBack takes an admission back, for a subject that was there already.
func (n *newcomers) giveBack() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left++
}

func (t *redisTier) newcomersOf(limit string) *newcomers {
	n, ok := t.crowds.Load(limit)
	if !ok {
		n, _ = t.crowds.LoadOrStore(limit, &newcomers{})
	}
	return n.(*newcomers)
}

// tokenKeys are the keys in Redis that decide about one subject: its own and its
// annex, and the count that subjects without a key share, with an annex for the
// script's sake. For hearth:limit:{api:53616c}, which names limit and subject,
// they are hearth:limit:{2741}:api and hearth:limit:{api:*}.
type tokenKeys struct {
	limit, subject string
	own, shared    []string
}

func tokenKeysOf(key string) tokenKeys {
	at := strings.LastIndexByte(key, ':') + 1
	k := tokenKeys{limit: key[:at], subject: strings.TrimSuffix(key[at:], "}")}
	shared := k.limit + "*}"
	k.own, k.shared = []string{key, annexOf(key)}, []string{shared, annexOf(shared)}
	return k
}

// annexOf is a key that lives in the slot of a limit's key, and is the same for
// all keys of the limit that live there.
func annexOf(key string) string {
	prefix, tag, braced := strings.Cut(strings.TrimSuffix(key, "}"), "{")
	if !braced { // no limit's key: all of it is hashed
		prefix, tag = "hearth:limit:", key
	}
	name, _, _ := strings.Cut(tag, ":")
	return prefix + "{" + strconv.Itoa(int(slotTags()[slotOf(tag)])) + "}:" + name
}

// slotTags has a number for each hash slot whose digits hash to it.
var slotTags = sync.OnceValue(func() *[slots16k]uint32 {
	var tags [slots16k]uint32
	for n, found := uint32(1), 0; found < slots16k; n++ {
		if slot := slotOf(strconv.Itoa(int(n))); tags[slot] == 0 {
			tags[slot] = n
			found++
		}
	}
	return &tags
})

const slots16k = 16384

package cache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ErrRefused says that the shared tier is well and refuses this command or
// this key: the account lacks a right, or the key holds what the command cannot
// work on. It refuses again until an operator acts, and says nothing about
// other keys.
var ErrRefused = errors.New("the shared tier refuses the command")

// passing are the error replies of Redis that end by themselves, or by a
// fail-over: it loads its data, has no memory left, is a replica, waits for one,
// runs a script. What remains is refused for good.
var passing = []string{
	"ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE",
}

// away are those of them, and others, that a Redis gives which cannot be used at
// all. The others leave its reads as they are.
var away = []string{"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOAUTH", "READONLY", "WRONGPASS"}

// codeOf is the first word of an error reply.
func codeOf(reply string) string {
	code, _, _ := strings.Cut(reply, " ")
	return code
}

// refusalOf is the error for an error reply of Redis: ErrRefused, with what to
// change, unless it passes.
func refusalOf(reply string, err error) error {
	code := codeOf(reply)
	switch {
	case slices.Contains(passing, code) || slices.Contains(away, code):
		return err
	case code == "NOPERM", code == "EXECABORT", strings.Contains(reply, "ACL"):
		return fmt.Errorf("%w (let the account of redis.url do it: ACL SETUSER, see docs/consistency.md, What Redis has to allow): %w", ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// nowAndThen lets one event pass in each interval: a line of the log that every
// request could cause.
type nowAndThen struct{ last atomic.Int64 }

const nowAndThenEvery = int64(10 * time.Second)

func (n *nowAndThen) allow(now int64) bool {
	last := n.last.Load()
	return (last == 0 || now-last >= nowAndThenEvery) && n.last.CompareAndSwap(last, max(now, 1))
}

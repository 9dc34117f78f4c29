package redis

import (
	"fmt"
	"slices"
	"strings"

	"hearth/cache/shared"
)

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
		return fmt.Errorf("%w (let the account of redis.url do it: ACL SETUSER, see docs/consistency.md, What Redis has to allow): %w", shared.ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", shared.ErrRefused, err)
}

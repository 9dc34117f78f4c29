package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// An error of a command is one of three things: a reply of Redis that says no, a
// connection that broke, or a deadline that passed. Only a broken connection says
// that Redis is away.

// errorReply returns the error reply that err is or wraps, "" if it is none:
// rueidis' own IsRedisErr looks only at an error that is not wrapped.
func errorReply(err error) string {
	if errors.Is(err, rueidis.ErrDoCacheAborted) { // the transaction of a tracked read
		return "EXECABORT " + err.Error()
	}
	if reply, ok := errors.AsType[*rueidis.RedisError](err); ok && !reply.IsNil() {
		return reply.Error()
	}
	return ""
}

// isBroken tells a lost connection from an error reply and from a deadline.
func isBroken(err error) bool {
	return errorReply(err) == "" && !isDeadline(err)
}

// isDeadline tells an end of the caller's time or interest, which says nothing of
// Redis.
func isDeadline(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isWrongType tells that the key holds a list, a hash or another type that is not
// the cache's.
func isWrongType(err error) bool { return codeOf(errorReply(err)) == "WRONGTYPE" }

// transient are the codes of error replies that end by themselves, or by a
// failover: Redis loads its data, has no memory left, is a replica, waits for one,
// runs a script. Any other refusal lasts until an operator acts.
var transient = []string{
	"ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "MOVED", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE",
}

// unusable are the codes of a Redis that cannot be used at all. With any other
// code its reads go on working.
var unusable = []string{"BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOAUTH", "READONLY", "WRONGPASS"}

// elsewhere are the codes of a server that is no master any more, or not yet: the name by
// which it was reached may lead to another one by now. They come before anything is done.
var elsewhere = []string{"CLUSTERDOWN", "LOADING", "MASTERDOWN", "NOREPLICAS", "READONLY"}

// isElsewhere tells whether an error reply has one of these codes. A script hands on the
// code of a command that it has called.
func isElsewhere(reply string) bool { return reply != "" && slices.Contains(elsewhere, codeOf(reply)) }

// isTransient tells whether an error is a reply that ends by itself, other than one that
// sends on to another node.
func isTransient(err error) bool {
	code := codeOf(errorReply(err))
	return slices.Contains(unusable, code) || slices.Contains(transient, code) && code != "MOVED" && code != "ASK"
}

// isKeyRefused tells that the account may run the command, and not with this key.
func isKeyRefused(err error) bool {
	reply := errorReply(err)
	return codeOf(reply) == "NOPERM" && strings.Contains(reply, "access")
}

// isCommandRefused tells that the account may not run the command with any key, or that
// the server has none of that name.
func isCommandRefused(err error) bool {
	reply := errorReply(err)
	return codeOf(reply) == "NOPERM" && !isKeyRefused(err) || strings.Contains(reply, "unknown command")
}

// codeOf is the first word of an error reply.
func codeOf(reply string) string {
	code, _, _ := strings.Cut(reply, " ")
	return code
}

// refusalOf is the error for an error reply of Redis: shared.ErrRefused, with what
// to change, unless the reply is transient.
func refusalOf(reply string, err error) error {
	code := codeOf(reply)
	switch {
	case slices.Contains(transient, code) || slices.Contains(unusable, code):
		return err
	case code == "NOPERM", code == "EXECABORT", strings.Contains(reply, "ACL"):
		return fmt.Errorf("%w (let the account of redis.url do it: ACL SETUSER, see docs/consistency.md, What Redis has to allow): %w", shared.ErrRefused, err)
	}
	return fmt.Errorf("%w: %w", shared.ErrRefused, err)
}

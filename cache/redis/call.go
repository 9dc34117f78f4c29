package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

// step runs one step of the protocol and returns the number it answers. Its keys
// and arguments are those of the script; see script.go. An error is the tier's
// already.
func (t *Tier) step(ctx context.Context, s script, keys []string, args ...string) (n int64, err error) {
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		n, err = s.Exec(ctx, c, keys, args).AsInt64()
		return err
	})
	return n, err
}

// replicatedStep is step for a write that enough replicas must know of. WAIT
// tells of what its own connection has written before, so both go in one piece:
// WAIT alone would go to any node of a Cluster, and after a break to a connection
// that has written nothing. WAIT gets half of the timeout, so that its answer
// still comes in time. EVAL instead of EVALSHA spares the second round trip of a
// script that is not known, which would part the two commands.
func (t *Tier) replicatedStep(ctx context.Context, s script, keys []string, args ...string) error {
	if t.cfg.WaitReplicas == 0 {
		_, err := t.step(ctx, s, keys, args...)
		return err
	}
	var n int64
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		answers := c.DoMulti(ctx, call{keys, args}.by(c, "EVAL", s.text),
			c.B().Wait().Numreplicas(int64(t.cfg.WaitReplicas)).Timeout(t.timeout.Milliseconds()/2).Build())
		if err = answers[0].Error(); err == nil {
			n, err = answers[1].AsInt64()
		}
		return err
	})
	if err == nil && n < int64(t.cfg.WaitReplicas) {
		err = fmt.Errorf("%w: %d of redis.wait_replicas = %d confirmed", shared.ErrAway, n, t.cfg.WaitReplicas)
	}
	return err
}

// call is one run of a script.
type call struct{ keys, args []string }

// by is the command that runs a script: EVALSHA with its hash, or EVAL with its text.
func (r call) by(c rueidis.Client, command, script string) rueidis.Completed {
	return c.B().Arbitrary(command, script, strconv.Itoa(len(r.keys))).Keys(r.keys...).Args(r.args...).Build()
}

// answer is what one call has brought.
type answer struct {
	number int64
	err    error
}

// steps runs a script for each of calls, all in one piece, so that thousands take
// little longer than one. It is not cut short by the timeout of a single command:
// ctx is its deadline. Nothing is repeated but what Redis has not run. Each call
// has its own error; one that fails says nothing of the others.
func (t *Tier) steps(ctx context.Context, s script, calls []call) []answer {
	out := make([]answer, len(calls))
	c, err := t.ask(ctx)
	if err != nil {
		for i := range out {
			out[i].err = err
		}
		return out
	}
	cmds := make([]rueidis.Completed, len(calls))
	for i, run := range calls {
		cmds[i] = run.by(c.plain, "EVALSHA", s.sha)
	}
	replies := c.plain.DoMulti(ctx, cmds...)
	var unknown []int // Redis does not know the script: it was restarted, or is asked for the first time
	cmds = nil
	for i, reply := range replies {
		if strings.HasPrefix(errorReply(reply.Error()), "NOSCRIPT") {
			unknown = append(unknown, i)
			cmds = append(cmds, calls[i].by(c.plain, "EVAL", s.text))
		}
	}
	if len(unknown) > 0 {
		for i, reply := range c.plain.DoMulti(ctx, cmds...) {
			replies[unknown[i]] = reply
		}
	}
	for i, reply := range replies {
		n, err := reply.AsInt64()
		out[i] = answer{n, t.noteFailure(err)}
	}
	return out
}

// textOf is a value as an argument of a script; it is not copied. The bytes must
// not change until the command is answered.
func textOf(value []byte) string { return rueidis.BinaryString(value) }

// Script implements limit.Redis. What is not repeatable is sent once.
func (t *Tier) Script(text string, repeatable bool) func(ctx context.Context, keys []string, args ...string) ([]int64, error) {
	lua := rueidis.NewLuaScript(text)
	if repeatable {
		lua = rueidis.NewLuaScriptRetryable(text)
	}
	return func(ctx context.Context, keys []string, args ...string) (n []int64, err error) {
		err = t.run(ctx, repeatable, func(ctx context.Context, c rueidis.Client) (err error) {
			n, err = lua.Exec(ctx, c, keys, args).AsIntSlice()
			return err
		})
		return n, err
	}
}

// Slot implements limit.Redis: the hash slot of a key, as rueidis reckons it.
func (*Tier) Slot(key string) uint16 {
	routed := rueidis.Completed{}.SetSlot(key)
	return routed.Slot()
}

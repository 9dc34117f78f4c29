package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// run runs f for key on the plain connection of the node that serves it. f must be
// harmless when repeated, unless repeatable is false: it runs once more if the connection
// broke under it. A step of the protocol is harmless, for it names its token: at worst a
// fill that was stored counts as refused, or an unguard deletes the record that its first
// attempt has put there. What Redis has refused to do because the key is elsewhere runs
// again there in any case.
func (t *Tier) run(ctx context.Context, key string, repeatable bool, f func(context.Context, rueidis.Client) error) error {
	return t.runOn(ctx, key, repeatable, false, func(ctx context.Context, _ *connections, c rueidis.Client) error { return f(ctx, c) })
}

// runOn is run that hands f the node's connections, too. With read, it runs nothing on a
// node that is not to be read yet.
func (t *Tier) runOn(ctx context.Context, key string, repeatable, read bool, f func(context.Context, *connections, rueidis.Client) error) error {
	r := route{tier: t, caller: ctx, key: key, repeatable: repeatable}
	ctx = t.bound(ctx)
	for ; ; ctx = r.within(ctx) {
		n, c, err := r.next(ctx, read)
		if err != nil {
			return err
		}
		client := c.plain
		if r.ask {
			client = asking{c.plain}
		}
		if err = f(ctx, c, client); err == nil || !r.again(ctx, n, c, err) {
			return n.noteFailure(c, err)
		}
	}
}

// step runs one step of the protocol and returns the number it answers. Its keys
// and arguments are those of the script; see script.go. An error is the tier's
// already.
func (t *Tier) step(ctx context.Context, s script, keys []string, args ...string) (n int64, err error) {
	if n, err = t.stepOver(ctx, s, keys, args, nil); isSplit(err) {
		return t.splitStep(ctx, s, call{keys, args}, nil)
	}
	return n, err
}

// stepOver is step that leaves it to the caller what to do when the keys are on two nodes.
func (t *Tier) stepOver(ctx context.Context, s script, keys, args []string, done *confirmed) (n int64, err error) {
	err = t.runOn(ctx, keys[0], true, false, func(ctx context.Context, conns *connections, c rueidis.Client) (err error) {
		if n, err = s.Exec(ctx, c, keys, args).AsInt64(); err == nil {
			done.note(conns)
		}
		return err
	})
	return n, err
}

// splitStep is a step whose keys are on two nodes.
func (t *Tier) splitStep(ctx context.Context, s script, run call, done *confirmed) (int64, error) {
	if s.pair {
		return 0, nil // no refresh, as if the key had changed
	}
	if err := t.removeSibling(ctx, run.keys); err != nil {
		return 0, err
	}
	return t.stepOver(ctx, s, run.keys[:1], run.args, done)
}

// isSplit tells whether a step over a key and its sibling was refused because their slot
// is on its way to another node: a script needs both keys on one node, and one of them may
// be there already, for as long as somebody takes to finish the move. Then the sibling is
// deleted first, by itself, and the step runs without it. No refresh can come in between,
// for its claim would need both keys, too.
func isSplit(err error) bool { return codeOf(errorReply(err)) == "TRYAGAIN" }

// removeSibling deletes the second of keys.
func (t *Tier) removeSibling(ctx context.Context, keys []string) error {
	return t.run(ctx, keys[1], true, func(ctx context.Context, c rueidis.Client) error {
		return c.Do(ctx, c.B().Del().Key(keys[1]).Build()).Error()
	})
}

// errOtherServer: the name leads to another server than the node's connections do.
var errOtherServer = errors.New("the address leads to another server by now")

// replicatedStep is step for a write that enough replicas must know of. Step and WAIT go
// in one piece over a connection of those that may stop. WAIT gets half of the timeout, so
// that its answer still comes in time. EVAL instead of EVALSHA spares the second round trip
// of a script that is not known, which would part the two commands. The connection may be
// younger than the node's others, so its server says who it is.
func (t *Tier) replicatedStep(ctx context.Context, s script, keys []string, args ...string) error {
	if t.cfg.WaitReplicas == 0 {
		_, err := t.step(ctx, s, keys, args...)
		return err
	}
	n, err := t.waitingStep(ctx, s, keys, args)
	if isSplit(err) {
		if err = t.removeSibling(ctx, keys); err == nil {
			n, err = t.waitingStep(ctx, s, keys[:1], args)
		}
	}
	if err == nil && n < int64(t.cfg.WaitReplicas) {
		err = t.tooFew(n)
	}
	return err
}

// waitingStep runs a step, and returns how many replicas confirm it.
func (t *Tier) waitingStep(ctx context.Context, s script, keys, args []string) (n int64, err error) {
	err = t.runOn(ctx, keys[0], true, false, func(ctx context.Context, conns *connections, c rueidis.Client) error {
		_, ask := c.(asking)
		n, err = conns.waited(ctx, t.cfg.WaitReplicas, t.timeout/2, func(cmds []rueidis.Completed) []rueidis.Completed {
			if ask {
				cmds = append(cmds, conns.waiting.B().Asking().Build())
			}
			return append(cmds, call{keys, args}.by(conns.waiting, "EVAL", s.text))
		})
		return err
	})
	return n, err
}

// waited sends commands in one piece, and returns how many replicas confirm them and all
// that was done before. build may be nil. A connection of those that wait may have been
// closed for being idle, which is no break of the node's, and the key that is written may
// be on its way to another node: they are sent once more.
func (conns *connections) waited(ctx context.Context, replicas int, within time.Duration, build func([]rueidis.Completed) []rueidis.Completed) (n int64, err error) {
	n, err = conns.waitOnce(ctx, replicas, within, build)
	_, _, moving := redirection(err, "")
	if err != nil && (moving || isBroken(err)) && !errors.Is(err, errOtherServer) && ctx.Err() == nil {
		n, err = conns.waitOnce(ctx, replicas, within, build)
	}
	return n, err
}

// confirmPrefix begins the keys that are written so that replicas can be waited for.
const confirmPrefix = "hearth:confirm:"

// waitOnce is waited without repetition. Another server than the one that was looked at
// counts as a break.
//
// WAIT tells of the latest write of its own connection. So that connection writes
// something of its own first: replicas get all writes of a server in one order, and one
// that has this has all that came before. Without it a step that is repeated, and finds
// nothing left to do, would be told of an older write:
//
//	connection 1   DEL, WAIT: no replica has it
//	connection 2   DEL of nothing, WAIT: all replicas have what it wrote an hour ago
func (conns *connections) waitOnce(ctx context.Context, replicas int, within time.Duration, build func([]rueidis.Completed) []rueidis.Completed) (n int64, err error) {
	b, cmds := conns.waiting.B(), make([]rueidis.Completed, 0, 5)
	if build != nil {
		cmds = build(cmds)
	}
	cmds = append(cmds, b.Set().Key(conns.node.ownKey(confirmPrefix)).Value("0").Px(time.Second).Build(),
		b.Wait().Numreplicas(int64(replicas)).Timeout(within.Milliseconds()).Build(), b.Info().Section("server").Build())
	answers := conns.waiting.DoMulti(ctx, cmds...)
	written, told := answers[:len(answers)-2], answers[len(answers)-2:]
	for _, a := range written {
		if err := a.Error(); err != nil {
			return 0, err
		}
	}
	if n, err = told[0].AsInt64(); err != nil {
		return 0, err
	}
	text, err := told[1].ToString()
	if err != nil {
		return 0, err
	}
	var id identity
	if id.read(text); id.runID != conns.server.runID {
		return 0, errOtherServer
	}
	return n, nil
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

// steps runs a script for each of calls, those of one node in one piece, so that
// thousands take little longer than one. It is not cut short by the timeout of a single
// command: ctx is its deadline. Nothing is repeated but what Redis has not run. Each call
// has its own error; one that fails says nothing of the others. done notes the connections
// over which they were done; it may be nil.
func (t *Tier) steps(ctx context.Context, s script, calls []call, done *confirmed) []answer {
	out := make([]answer, len(calls))
	keys := make([]string, len(calls))
	for i, run := range calls {
		keys[i] = run.keys[0]
	}
	t.spread(ctx, keys, spreading{
		build: func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed {
			return append(dst, calls[i].by(c, "EVALSHA", s.sha))
		},
		take: func(i int, answers []rueidis.RedisResult) (err error) {
			out[i].number, err = answers[0].AsInt64()
			return err
		},
		// Redis does not know the script: it was restarted, or is asked for the first time.
		instead: func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed {
			return append(dst, calls[i].by(c, "EVAL", s.text))
		},
		fail: func(i int, err error) { out[i].err = err },
		via:  done.note,
	})
	for i, a := range out {
		if isSplit(a.err) {
			out[i].number, out[i].err = t.splitStep(ctx, s, calls[i], done)
		}
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
		err = t.run(ctx, keys[0], repeatable, func(ctx context.Context, c rueidis.Client) (err error) {
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

package redis

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// redirection reads an error reply that names another node of the Cluster: MOVED, the
// node that serves the slot now, or ASK, the one to which the slot is on its way. from is
// the address of the node that has answered.
func redirection(err error, from string) (addr string, ask, ok bool) {
	parts := strings.Fields(errorReply(err))
	if len(parts) < 3 || parts[0] != "MOVED" && parts[0] != "ASK" {
		return "", false, false
	}
	host, port := parts[2], ""
	if i := strings.LastIndexByte(parts[2], ':'); i >= 0 {
		host, port = strings.Trim(parts[2][:i], "[]"), parts[2][i+1:]
	}
	if host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(from)
	}
	return net.JoinHostPort(host, port), parts[0] == "ASK", true
}

// asking is a client whose commands are asked of a node to which their slot is on its
// way: each goes behind ASKING. What it reads is not tracked.
type asking struct{ rueidis.Client }

func (a asking) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return a.Client.DoMulti(ctx, a.B().Asking().Build(), cmd)[1]
}

func (a asking) DoMulti(ctx context.Context, cmds ...rueidis.Completed) []rueidis.RedisResult {
	each := make([]rueidis.Completed, 0, 2*len(cmds))
	for _, cmd := range cmds {
		each = append(each, a.B().Asking().Build(), cmd)
	}
	answers := a.Client.DoMulti(ctx, each...)
	out := make([]rueidis.RedisResult, len(cmds))
	for i := range out {
		out[i] = answers[2*i+1]
	}
	return out
}

const (
	// maxHops bounds how often one command is sent on: slots move one after the other,
	// and a listing may be behind.
	maxHops = 64

	// agreePause is how long a command waits for nodes that do not agree yet.
	agreePause = 5 * time.Millisecond

	// downPause is how long one waits for a Cluster that is down.
	downPause = 20 * time.Millisecond
)

// route is the way of one command through the nodes.
type route struct {
	tier       *Tier
	caller     context.Context // without the tier's deadline: of one who has left nothing is sent again
	key        string
	repeatable bool // may be sent again when its connection breaks

	node *node // to be asked next; nil: the one that serves key
	ask  bool  // behind ASKING
	hops int
	sent bool      // again, after a break
	down time.Time // when it was first told that the Cluster is down
}

// within is the deadline of the next try: the tier's for one command, which begins anew
// with each try of a Cluster that is down.
func (r *route) within(ctx context.Context) context.Context {
	if r.down.IsZero() {
		return ctx
	}
	return r.tier.bound(r.caller)
}

// next returns whom to ask.
func (r *route) next(ctx context.Context, read bool) (*node, *connections, error) {
	if r.node == nil {
		n, err := r.tier.nodeOf(ctx, r.key)
		if err != nil {
			return nil, nil, err
		}
		r.node = n
	}
	c, err := r.node.askFor(ctx, read)
	return r.node, c, err
}

// again tells whether the command has to be sent again after err, and to whom: nothing
// was done yet, or it may be done twice. n and c are who was asked.
func (r *route) again(ctx context.Context, n *node, c *connections, err error) bool {
	if err == nil || r.caller.Err() != nil {
		return false
	}
	reply := errorReply(err)
	if codeOf(reply) == "CLUSTERDOWN" && n.ranges.Load() != nil {
		return r.waitWhileDown(n)
	}
	if r.hops++; r.hops > maxHops || ctx.Err() != nil {
		return false
	}
	addr, ask, redirected := redirection(err, n.name)
	switch {
	case redirected && n.ranges.Load() != nil:
		return r.follow(ctx, n, addr, ask)
	case isElsewhere(reply):
		r.node, r.ask = nil, false
		return r.hops == 1 && n.leadsElsewhere(ctx, c)
	case reply == "" && isBroken(err) && r.repeatable && !r.sent:
		_ = n.noteFailure(c, err) // callers of the node wait until it is dialled anew
		r.node, r.ask, r.sent = nil, false, true
		return true
	}
	return false
}

// waitWhileDown waits a moment for a Cluster that is down, for link_timeout in all. By
// default no node of it answers while any slot is without a master: from the death of one
// to its fail-over, which takes a second or so.
func (r *route) waitWhileDown(n *node) bool {
	if r.down.IsZero() {
		r.down = time.Now()
	}
	if time.Since(r.down) > r.tier.cfg.LinkTimeout {
		return false
	}
	r.tier.relist(n)
	r.node, r.ask = nil, false
	return wait(r.caller, downPause)
}

// follow goes to where n has redirected.
func (r *route) follow(ctx context.Context, n *node, addr string, ask bool) bool {
	if ask {
		if r.node, r.ask = r.tier.topology.Load().at(addr), true; r.node == nil {
			r.tier.relistAndWait(ctx, n)
			r.node = r.tier.topology.Load().at(addr)
		}
		if r.node == nil { // it does not know itself yet
			r.ask = false
			return wait(ctx, agreePause)
		}
		return true
	}
	if top := r.tier.topology.Load(); top == nil || top.nodeOf(r.tier, r.key) == n { // else it is known already
		r.tier.relistAndWait(ctx, n)
	}
	// The listing may be behind the node that has answered.
	r.node, r.ask = nil, false
	if top := r.tier.topology.Load(); top != nil && top.nodeOf(r.tier, r.key) == n {
		if r.node = top.at(addr); r.node == nil || r.node == n {
			r.node = nil
			return wait(ctx, agreePause)
		}
	}
	return true
}

// wait waits, and returns false if ctx ends meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines gives commands their deadline. Commands that begin close to each other
// share one context: a timer for each would cost as much as the rest of a read.
type deadlines struct {
	timeout time.Duration // of one command
	latest  atomic.Pointer[sharedDeadline]
}

// sharedDeadline is a deadline for all commands that begin before until.
type sharedDeadline struct {
	ctx   context.Context
	until time.Time
}

// bound returns the context of a command that begins now. The caller's own deadline
// rules when it comes first; fasthttp's requests are cancelled by nothing else.
func (d *deadlines) bound(ctx context.Context) context.Context {
	now := time.Now()
	if own, ok := ctx.Deadline(); ok && own.Before(now.Add(d.timeout)) {
		return ctx
	}
	if latest := d.latest.Load(); latest != nil && now.Before(latest.until) {
		return latest.ctx
	}
	until := now.Add(d.timeout / 16)
	joint, cancel := context.WithDeadline(context.Background(), until.Add(d.timeout))
	context.AfterFunc(joint, cancel) // no caller may cancel it before
	d.latest.Store(&sharedDeadline{ctx: joint, until: until})
	return joint
}

package handlers

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines hands out contexts that end a given time from now. Requests that
// begin at almost the same time share one: nobody cancels a request, and a timer
// for each would be a tenth of the cost of a read from Redis.
type deadlines struct {
	current atomic.Pointer[sharedDeadline]
}

type sharedDeadline struct {
	context.Context
	until time.Time // requests that begin later get the next
}

// context returns one that ends after timeout, or up to a thirty-second of it
// later, or with parent. All calls have to name the same ones. Two requests may both
// find that it is time for the next and make one each; then the later one stays, and
// both are right.
func (d *deadlines) context(parent context.Context, timeout time.Duration) context.Context {
	now := time.Now()
	if shared := d.current.Load(); shared != nil && now.Before(shared.until) {
		return shared.Context
	}
	until := now.Add(timeout / 32)
	ctx, cancel := context.WithDeadline(parent, until.Add(timeout))
	context.AfterFunc(ctx, cancel) // it is shared, so nothing may cancel it earlier
	d.current.Store(&sharedDeadline{ctx, until})
	return ctx
}

package source

import "context"

// Caller is what an origin may be told of the request that made this server
// ask: names, by which the logs and traces of several programs are put
// together. They say nothing about what is asked for, so a record is the same
// for whichever request it is loaded. All of it is copied from the request and
// valid; a part that is empty is not passed on.
type Caller struct {
	RequestID   string // X-Request-Id
	Traceparent string // W3C Trace Context; parent-id as it came, for this server makes no spans
	Tracestate  string // only ever beside a Traceparent
}

// Called is implemented by Records which pass the caller of a load on. For the
// others nobody need gather it.
type Called interface {
	Records
	TellsCaller()
}

type callerKey struct{}

// In returns ctx with the caller in it. It is a value of the context, and no
// parameter of Load, because most sources have no use for it.
func (c Caller) In(ctx context.Context) context.Context {
	if c == (Caller{}) {
		return ctx
	}
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller that In has put into ctx, or none.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

package handlers

import (
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Reloadable is the handler of a listener whose configuration can change: each
// request goes to the Server that is current then. Connections, and fasthttp's
// server, outlive the Servers. It is safe for concurrent use.
type Reloadable struct{ current atomic.Pointer[Server] }

// NewReloadable returns a Reloadable that begins with s.
func NewReloadable(s *Server) *Reloadable {
	w := &Reloadable{}
	w.current.Store(s)
	return w
}

// Current is the Server that takes requests now.
func (w *Reloadable) Current() *Server { return w.current.Load() }

// Swap makes next take the requests from now on. The Server before it answers
// what it has begun; see Server.Busy. A request that has loaded the old Server, but
// not entered it yet, is passed on by it: see Server.enter.
func (w *Reloadable) Swap(next *Server) {
	w.current.Swap(next).successor.Store(next)
}

// Configure sets up srv once, before it serves. MaxHeader, MaxBody and
// MaxConnections are the first Server's for good, because fasthttp reads them
// without a lock.
func (w *Reloadable) Configure(srv *fasthttp.Server) {
	w.Current().Configure(srv)
	srv.Handler = func(ctx *fasthttp.RequestCtx) { w.current.Load().serve(ctx) }
	srv.ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) { w.current.Load().refuseUnreadable(ctx, err) }
	srv.ExpectHandler = func(ctx *fasthttp.RequestCtx) int { return w.current.Load().expect(ctx) }
}

package handlers

import (
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Switch is the handler of a listener whose configuration changes: it hands
// each request to the Server of the day. Connections, and fasthttp's server,
// outlive the Servers. It is safe for concurrent use.
type Reloadable struct{ current atomic.Pointer[Server] }

// NewSwitch returns a Switch that begins with s.
func NewReloadable(s *Server) *Reloadable {
	w := &Reloadable{}
	w.current.Store(s)
	return w
}

// Current is the Server that takes requests now.
func (w *Reloadable) Current() *Server { return w.current.Load() }

// Swap makes next take the requests from now on. The Server before it answers
// what it has begun; see Server.Busy.
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

// Busy tells whether requests are at work on a Server that was swapped for
// another: what it works with must not be closed before. Once false it stays
// so, since a request that comes late goes on to the successor.
//
// A request counts itself before it looks for a successor, and the successor is
// there before anybody asks for the count: so either the request sees it, or it
// is seen here. Those that memory answers do not count. They touch nothing that
// is ever closed.
func (s *Server) Busy() bool { return s.active.Load() != 0 }

// begin counts a request that memory cannot answer, unless a successor is to
// have it.
func (s *Server) enter() (successor *Server) {
	s.active.Add(1)
	if next := s.successor.Load(); next != nil {
		s.active.Add(-1)
		return next
	}
	return nil
}

func (s *Server) leave() { s.active.Add(-1) }

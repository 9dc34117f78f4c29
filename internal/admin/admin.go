// Package admin answers the operators' listener: health, metrics, profiles and
// invalidation.
//
// It is a listener of its own because its dangers are others than those of the
// public one. It usually stands on loopback without tokens, where the attacker
// is a web page in the operator's browser; so it checks the Host of every
// request, and of those that change something also where they come from.
package admin

import (
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// New makes an Admin. A missing dependency is a bug and panics.
func New(c Config) *Admin {
	if c.Tokens == nil || c.Ready == nil || c.Draining == nil || c.Metrics == nil ||
		c.Stats == nil || c.Invalidate == nil || c.Reload == nil || c.Watch == nil || c.Hot == nil || c.Explain == nil || c.Valid == nil || c.Log == nil {
		panic("BUG: admin.New lacks a dependency")
	}
	return &Admin{config: c, hosts: auth.NewHosts(c.Hosts), silence: silence}
}

// Handle answers one request: it says whose turn it is, refuses what is framed in
// doubt or asks for another host, and hands the rest to the route table.
func (a *Admin) Handle(ctx *fasthttp.RequestCtx) {
	defer a.recoverPanic(ctx)
	if conn, ok := ctx.Conn().(watchedConn); ok {
		conn.Handling()
		defer conn.Writing()
	}
	setCommonHeaders(ctx)
	if !checkFraming(ctx) {
		return
	}
	defer finishConnection(ctx)
	if !a.allowHost(ctx) {
		problem(ctx, fasthttp.StatusMisdirectedRequest,
			"the Host header must be an IP address, localhost or one of server.admin_hosts")
		return
	}
	a.route(ctx)
}

// recoverPanic turns a panic into a 500: fasthttp has no recover of its own,
// and a broken page for operators must not take the public listener down.
func (a *Admin) recoverPanic(ctx *fasthttp.RequestCtx) {
	cause := recover()
	if cause == nil {
		return
	}
	a.config.Log.Error("panic on the admin listener",
		"method", string(ctx.Method()), "path", string(ctx.Path()), "panic", cause, "stack", string(debug.Stack()))
	problem(ctx, fasthttp.StatusInternalServerError, "something went wrong here; the log says what")
}

// expect answers the question of Expect: 100-continue, whether to send the body.
// The request goes the way that it will go with its body, as far as to where that
// would be read: only a POST that is served comes there, and what is decided
// before is the answer.
func (a *Admin) expect(ctx *fasthttp.RequestCtx) (status int) {
	if ctx.IsGet() || ctx.IsHead() {
		setCommonHeaders(ctx)
		if !checkFraming(ctx) {
			return ctx.Response.StatusCode()
		}
		return fasthttp.StatusContinue
	}
	c := contentOf(ctx)
	c.expecting = true
	a.Handle(ctx)
	if !c.wanted {
		return ctx.Response.StatusCode()
	}
	c.expecting = false
	ctx.Response.Reset()
	return fasthttp.StatusContinue
}

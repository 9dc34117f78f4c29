// Package admin answers the operators' listener: health, metrics, profiles and
// invalidation.
//
// It is a listener of its own because its dangers are others than those of the
// public one. It usually stands on loopback without tokens, where the attacker
// is a web page in the operator's browser; so it checks the Host of every
// request, and of those that change something also where they come from.
package admin

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// Config is what an Admin needs to know. The zero value is ready for use.
type Config struct {
	// Hosts are the names besides localhost and IP addresses that requests
	// may have in Host (server.admin_hosts), each with or without a port.
	Hosts []string
	// MaxBody bounds the body of a request in bytes; 0 means DefaultMaxBody.
	MaxBody int
	// MaxTargets bounds the paths and keys of one invalidation; 0 means
	// DefaultMaxTargets.
	MaxTargets int
	// InvalidateTimeout bounds one invalidation; 0 means
	// DefaultInvalidateTimeout.
	InvalidateTimeout time.Duration
}

// Defaults of Config.
const (
	DefaultMaxBody           = 1 << 20
	DefaultMaxTargets        = 10_000
	DefaultInvalidateTimeout = 10 * time.Second
)

// Deps is what the rest of the server lends to an Admin. All of it but
// Notices is required, and must be safe for concurrent use.
type Deps struct {
	// Keeper decides on tokens.
	Keeper *auth.Tokens
	// Ready maps the name of each check to nil or to what is wrong. It must
	// answer from what is known already and not wait for anything: a service
	// manager asks it while tiers are down. Only the text of a Reason is
	// shown.
	Ready func() map[string]error
	// Notices maps the name of what is wrong, and does not keep the server from
	// being ready, to words as in a Reason; nil for none.
	Notices func() map[string]string
	// Draining reports that the server is about to stop.
	Draining func() bool
	// Metrics writes the page of /metrics as Prometheus text.
	Metrics func(io.Writer) error
	// Stats returns what /api/stats shows, encoded with encoding/json.
	Stats func() any
	// Invalidate drops what the targets name from all tiers and returns the
	// number of keys dropped. An *InvalidateError blames the request; ErrRefused
	// says that sending it again does not help.
	Invalidate func(ctx context.Context, t Targets) (int, error)
	// Log takes failures whose cause a client must not see.
	Log *slog.Logger
}

// Admin is the handler of the admin listener. It starts no goroutines and
// holds nothing that needs closing.
type Admin struct {
	config Config
	deps   Deps
	hosts  auth.Hosts
	routes []route
	router *router.Router
}

// New makes an Admin. A missing dependency is a bug and panics.
func New(config Config, deps Deps) *Admin {
	if deps.Keeper == nil || deps.Ready == nil || deps.Draining == nil || deps.Metrics == nil ||
		deps.Stats == nil || deps.Invalidate == nil || deps.Log == nil {
		panic("BUG: admin.New lacks a dependency")
	}
	if config.MaxBody <= 0 {
		config.MaxBody = DefaultMaxBody
	}
	if config.MaxTargets <= 0 {
		config.MaxTargets = DefaultMaxTargets
	}
	if config.InvalidateTimeout <= 0 {
		config.InvalidateTimeout = DefaultInvalidateTimeout
	}
	a := &Admin{config: config, deps: deps, hosts: auth.NewHosts(config.Hosts)}
	a.routes = a.table()
	a.router = a.build()
	return a
}

// Handle answers one request.
func (a *Admin) Handle(ctx *fasthttp.RequestCtx) {
	defer a.recoverPanic(ctx)
	if conn, ok := ctx.Conn().(watchedConn); ok {
		conn.Handling()
		defer conn.Writing()
	}
	setCommonHeaders(ctx)
	if !inspect(ctx) {
		return
	}
	defer settle(ctx)
	if !a.allowHost(ctx) {
		problem(ctx, fasthttp.StatusMisdirectedRequest,
			"the Host header must be an IP address, localhost or one of server.admin_hosts")
		return
	}
	a.router.Handler(ctx)
}

// recoverPanic turns a panic into a 500: fasthttp has no recover of its own,
// and a broken page for operators must not take the public listener down.
func (a *Admin) recoverPanic(ctx *fasthttp.RequestCtx) {
	cause := recover()
	if cause == nil {
		return
	}
	a.deps.Log.Error("panic on the admin listener",
		"method", string(ctx.Method()), "path", string(ctx.Path()), "panic", cause, "stack", string(debug.Stack()))
	problem(ctx, fasthttp.StatusInternalServerError, "something went wrong here; the log says what")
}

package handlers

import (
	"net"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// open is the scope of routes that need no token.
const open auth.Scope = 0

// authorise lets a request for a route of that scope pass, or says why not. It is
// asked before the content is looked at, so a stranger's content is never waited for.
// Where no token is configured nobody is known, and what is left to check is
// that no foreign web page makes its visitor's browser write here.
func (s *Server) authorise(r *request, scope auth.Scope) error {
	if scope == open {
		return nil
	}
	lines := r.Request.Header.PeekAll(fasthttp.HeaderAuthorization)
	if _, result := s.deps.Tokens.Check(lines, scope); result != auth.OK {
		status, detail, challenge := result.Refusal(scope)
		return &problem{status: status, detail: detail, header: fasthttp.HeaderWWWAuthenticate, value: challenge}
	}
	if !s.deps.Tokens.Open() || s.config.CORS.OpenWrites {
		return nil
	}
	return s.refusePages(r)
}

// refusePages refuses what a web page of another origin sends, and what any page
// sends to this very machine under a name of its own. The owner of a name can let
// it resolve to 127.0.0.1 while the page is open (DNS rebinding); the page's
// origin and the Host then agree, but the name gives it away. Requests without the
// fields that browsers add come from no page.
func (s *Server) refusePages(r *request) error {
	req := &r.Request.Header
	host := string(r.Host())
	origins := req.PeekAll(fasthttp.HeaderOrigin)
	// PeekAll returns the same buffer each time, so origins are done with first.
	foreign, page := auth.ForeignOrigin(origins, host), len(origins) > 0
	sites := req.PeekAll(nameFetchSite)
	if foreign || auth.ForeignSite(sites) {
		return refuse(fasthttp.StatusForbidden,
			"pages of other origins may not write while no token is configured; add an [[auth.token]], or set cors.open_writes")
	}
	if (page || len(sites) > 0) && onLoopback(r.RequestCtx) && !s.hosts.Allow(host) {
		return refuse(fasthttp.StatusForbidden,
			"while no token is configured, pages may write to a server on their own machine under localhost, an IP address "+
				"or a name in server.admin_hosts only; use one of these, add an [[auth.token]], or set cors.open_writes")
	}
	return nil
}

// onLoopback tells whether the request came in at an address that only this
// machine can reach, and a browser on it can. No browser opens a unix socket.
func onLoopback(ctx *fasthttp.RequestCtx) bool {
	a, ok := ctx.LocalAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

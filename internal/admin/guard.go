package admin

import (
	"mime"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

func hostSet(names []string) map[string]bool {
	set := map[string]bool{"localhost": true}
	for _, n := range names {
		set[strings.TrimSuffix(strings.ToLower(n), ".")] = true
	}
	return set
}

// allowHost reports whether the request's Host may be served. A page whose own
// name an attacker has made to resolve to this machine (DNS rebinding) counts
// as same-origin for the browser, but it cannot avoid sending that name. No
// page can connect to a Unix socket, and clients put anything there.
func (a *Admin) allowHost(ctx *fasthttp.RequestCtx) bool {
	if ctx.LocalAddr().Network() == "unix" {
		return true
	}
	host := strings.ToLower(string(ctx.Request.Header.Host()))
	if a.hosts[host] {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return a.hosts[strings.TrimSuffix(host, ".")]
}

// authorize answers 401 or 403 and reports false unless the request may use a
// route of that scope.
func (a *Admin) authorize(ctx *fasthttp.RequestCtx, scope auth.Scope) bool {
	if scope == open {
		return true
	}
	var verdict auth.Verdict
	switch headers := ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization); len(headers) {
	case 0:
		_, verdict = a.deps.Keeper.Check(nil, scope)
	case 1:
		_, verdict = a.deps.Keeper.Check(headers[0], scope)
	default:
		// The field may occur once. Which of two a proxy in front looked at
		// is not to be guessed.
		if !a.deps.Keeper.Open() {
			verdict = auth.Unknown
		}
	}
	if verdict == auth.OK {
		return true
	}
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, verdict.Challenge(scope))
	problem(ctx, verdict.Status(), verdict.Detail(scope))
	return false
}

// refuseForeign answers 403 and reports false when a page of another origin is
// behind the request. Sec-Fetch-Site says so by itself; Origin is for browsers
// that do not send it.
func refuseForeign(ctx *fasthttp.RequestCtx) bool {
	host := string(ctx.Request.Header.Host())
	for _, origin := range ctx.Request.Header.PeekAll(fasthttp.HeaderOrigin) {
		if auth.ForeignOrigin(string(origin), host) {
			problem(ctx, fasthttp.StatusForbidden, "pages of other origins may not do this")
			return false
		}
	}
	for _, site := range ctx.Request.Header.PeekAll("Sec-Fetch-Site") {
		if s := string(site); s != "same-origin" && s != "none" {
			problem(ctx, fasthttp.StatusForbidden, "pages of other sites may not do this")
			return false
		}
	}
	return true
}

// refuseBody answers 415 or 413 and reports false unless the body is JSON of a
// bearable size. The media type is also a defence: a page cannot send this one
// to another origin without asking first, and OPTIONS is not answered.
func (a *Admin) refuseBody(ctx *fasthttp.RequestCtx) bool {
	media, params, err := mime.ParseMediaType(string(ctx.Request.Header.ContentType()))
	charset, given := params["charset"]
	if err != nil || media != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		problem(ctx, fasthttp.StatusUnsupportedMediaType, "send application/json in UTF-8")
		return false
	}
	if len(ctx.Request.Header.ContentEncoding()) > 0 {
		problem(ctx, fasthttp.StatusUnsupportedMediaType, "send the body without Content-Encoding")
		return false
	}
	if len(ctx.PostBody()) > a.config.MaxBody {
		problem(ctx, fasthttp.StatusRequestEntityTooLarge, "the body is too long")
		return false
	}
	return true
}

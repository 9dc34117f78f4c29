package admin

import (
	"bytes"
	"encoding/base64"
	"mime"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// open is the scope of routes that need no token.
const open auth.Scope = 0

// allowHost reports whether the request's Host may be served. No page can
// connect to a Unix socket, and clients put anything there.
func (a *Admin) allowHost(ctx *fasthttp.RequestCtx) bool {
	return ctx.LocalAddr().Network() == "unix" || a.hosts.Allow(string(ctx.Host()))
}

// authorize answers 401 or 403 and reports false unless the request may use a
// route of that scope. page says that it is one that browsers ask for.
func (a *Admin) authorize(ctx *fasthttp.RequestCtx, scope auth.Scope, page bool) bool {
	if scope == open {
		return true
	}
	_, result := a.config.Tokens.Check(credentials(ctx, page), scope)
	if result == auth.OK {
		return true
	}
	status, detail, challenge := result.Refusal(scope)
	problem(ctx, status, detail, fasthttp.HeaderWWWAuthenticate, challenge)
	if page && status == fasthttp.StatusUnauthorized && bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAccept), []byte("text/html")) {
		ctx.Response.Header.Add(fasthttp.HeaderWWWAuthenticate, `Basic realm="hearth: any name, a token as password", charset="UTF-8"`)
	}
	return false
}

// credentials are the lines of Authorization. A browser cannot send a bearer token when
// somebody opens a page or follows a stream, but it asks for a name and a password: a token as
// the password is as good as a bearer token (RFC 7617). From then on the browser sends it by
// itself, so what changes something is refused to pages of other origins, and with a password all
// but the dashboard is; see refuseForeign.
func credentials(ctx *fasthttp.RequestCtx, page bool) [][]byte {
	lines := ctx.Request.Header.PeekAll(fasthttp.HeaderAuthorization)
	if len(lines) != 1 || !page {
		return lines
	}
	if byPassword(ctx) {
		pair, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(lines[0][len(basic):])))
		if _, password, found := bytes.Cut(pair, []byte(":")); err == nil && found {
			return [][]byte{append([]byte("Bearer "), password...)}
		}
	}
	return lines
}

const basic = "basic "

// byPassword tells whether a request names a password, which browsers send by themselves, whatever
// page is behind it.
func byPassword(ctx *fasthttp.RequestCtx) bool {
	line := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	return len(line) > len(basic) && strings.EqualFold(string(line[:len(basic)]), basic)
}

// refuseForeign answers 403 and reports false when a page of another origin is
// behind the request. Sec-Fetch-Site says so by itself; Origin is for browsers
// that do not send it.
func refuseForeign(ctx *fasthttp.RequestCtx) bool {
	if auth.ForeignOrigin(ctx.Request.Header.PeekAll(fasthttp.HeaderOrigin), string(ctx.Host())) {
		problem(ctx, fasthttp.StatusForbidden, "pages of other origins may not do this")
		return false
	}
	if auth.ForeignSite(ctx.Request.Header.PeekAll("Sec-Fetch-Site")) {
		problem(ctx, fasthttp.StatusForbidden, "pages of other sites may not do this")
		return false
	}
	return true
}

// takeBody returns the request's body, or answers 415, 413, 408 or 400 and reports
// false unless it is JSON of a bearable size. The media type is also a defence: a
// page cannot send this one to another origin without asking first, and OPTIONS
// is not answered.
func (a *Admin) takeBody(ctx *fasthttp.RequestCtx) (body []byte, ok bool) {
	media, params, err := mime.ParseMediaType(string(ctx.Request.Header.ContentType()))
	charset, given := params["charset"]
	if err != nil || media != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		problem(ctx, fasthttp.StatusUnsupportedMediaType, "send application/json in UTF-8")
		return nil, false
	}
	if len(ctx.Request.Header.ContentEncoding()) > 0 {
		problem(ctx, fasthttp.StatusUnsupportedMediaType, "send the body without Content-Encoding")
		return nil, false
	}
	body, err = a.readBody(ctx)
	if err != nil {
		refuseUnread(ctx, err)
		return nil, false
	}
	return body, true
}

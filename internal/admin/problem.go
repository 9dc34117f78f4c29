package admin

import (
	"fmt"
	"strings"

	"github.com/goccy/go-json"
	"github.com/valyala/fasthttp"
)

// problemBody is an answer of RFC 9457. The type is about:blank throughout, so
// the title is the status code's own.
type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// problem makes the answer an error, with these headers, name and value in turn.
// The detail says what to change; it must not contain the text of a cause.
// Whatever was in the answer before is dropped.
func problem(ctx *fasthttp.RequestCtx, status int, detail string, headers ...string) {
	closing := ctx.Response.ConnectionClose()
	ctx.Response.Reset()
	if closing {
		ctx.SetConnectionClose()
	}
	setCommonHeaders(ctx)
	for i := 0; i < len(headers); i += 2 {
		ctx.Response.Header.Set(headers[i], headers[i+1])
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/problem+json")
	ctx.SetBody(encodeProblem(status, detail))
}

func encodeProblem(status int, detail string) []byte {
	body, err := json.Marshal(problemBody{"about:blank", fasthttp.StatusMessage(status), status, detail})
	if err != nil {
		panic(fmt.Sprintf("BUG: encoding a problem: %v", err)) // strings and a number always encode
	}
	return body
}

// setCommonHeaders sets what every answer has. Nothing here may be kept by a
// cache, framed by another page, or fetch anything from elsewhere.
func setCommonHeaders(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set(fasthttp.HeaderCacheControl, "no-store")
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set(fasthttp.HeaderContentSecurityPolicy,
		"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'")
}

// printable shortens what a client sent to something that may be shown.
func printable(b []byte) string {
	const most = 16
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b[:min(len(b), most)]))
}

// respond answers with v as JSON.
func (a *Admin) respond(ctx *fasthttp.RequestCtx, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		a.config.Log.Error("encoding an answer of the admin listener", "path", string(ctx.Path()), "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "something went wrong here; the log says what")
		return
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

package admin

import (
	_ "embed"

	"github.com/valyala/fasthttp"
)

//go:embed index.html
var indexPage string

// index is a list of what there is. The page fetches nothing, so it works
// without internet and with any Content-Security-Policy.
func (a *Admin) index(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBodyString(indexPage)
}

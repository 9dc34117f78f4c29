package admin

import (
	"net/http/pprof"
	"strconv"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"
)

const (
	profilePrefix = "/debug/pprof/"
	// maxSeconds bounds how long one profile may take.
	maxSeconds = 120
)

// profileIndex lists the profiles. fasthttp's pprofhandler refuses the path
// with the slash at its end, and without it the links of the page, which are
// relative, lead nowhere; so the page comes from net/http/pprof directly.
func (a *Admin) profileIndex(ctx *fasthttp.RequestCtx) {
	fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index)(ctx)
	mendProfile(ctx)
}

// profile takes one. Some stop the world or slow it down for as long as they
// were asked to, so pages of other sites may not start them, though they could
// not read the answer.
func (a *Admin) profile(ctx *fasthttp.RequestCtx) {
	if !refuseForeign(ctx) {
		return
	}
	for _, seconds := range ctx.QueryArgs().PeekMulti("seconds") {
		// Written this way round NaN is refused too.
		if n, err := strconv.ParseFloat(string(seconds), 64); err != nil || !(n >= 0 && n <= maxSeconds) {
			problem(ctx, fasthttp.StatusUnprocessableEntity, "seconds must be a number from 0 to "+strconv.Itoa(maxSeconds))
			return
		}
	}
	pprofhandler.PprofHandler(ctx)
	mendProfile(ctx)
}

// mendProfile gives errors of net/http/pprof the form they have everywhere
// else here, and puts back the headers it has set its own way.
func mendProfile(ctx *fasthttp.RequestCtx) {
	switch status := ctx.Response.StatusCode(); {
	case status == fasthttp.StatusNotFound:
		problem(ctx, status, "there is no such profile; "+profilePrefix+" lists those there are")
	case status >= fasthttp.StatusBadRequest:
		problem(ctx, status, "the profile cannot be taken; perhaps another one is being taken")
	default:
		// The adapter adds its headers to those that are there.
		ctx.Response.Header.Del(fasthttp.HeaderXContentTypeOptions)
		setCommonHeaders(ctx)
	}
}

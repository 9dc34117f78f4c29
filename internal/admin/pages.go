package admin

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"hearth/internal/dashboard"
	"hearth/internal/metrics"
)

// index is the dashboard. It asks nobody but this listener, so it works without internet.
func (a *Admin) index(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, dashboard.ContentSecurityPolicy())
	respondPacked(ctx, dashboard.Page(a.config.Watch.Latest()))
}

// metrics answers with the page for Prometheus. It is written to memory first,
// so that an error half-way is an error for the scraper too and not a page
// that lacks series.
func (a *Admin) metrics(ctx *fasthttp.RequestCtx) {
	var page bytes.Buffer
	if err := a.config.Metrics(&page); err != nil {
		a.config.Log.Error("writing metrics", "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "the metrics cannot be written; the log says why")
		return
	}
	ctx.SetContentType(metrics.ContentType)
	ctx.SetBody(page.Bytes())
}

func (a *Admin) stats(ctx *fasthttp.RequestCtx) {
	a.respond(ctx, fasthttp.StatusOK, a.config.Stats())
}

package admin

import (
	"context"
	"errors"
	"time"

	"github.com/valyala/fasthttp"
)

// explainWithin bounds the reading of the shared tier for one explanation.
const explainWithin = 2 * time.Second

// explain answers how the next GET of ?path= would be answered, and why.
func (a *Admin) explain(ctx *fasthttp.RequestCtx) {
	path, fault := a.only(ctx, "path", "")
	if fault == "" && path == "" {
		fault = "name the path to be explained: ?path=/user/7"
	}
	if fault != "" {
		problem(ctx, fasthttp.StatusUnprocessableEntity, fault)
		return
	}
	within, cancel := context.WithTimeout(context.Background(), explainWithin)
	defer cancel()
	explained, err := a.config.Explain(within, path)
	if wrong, isWrong := errors.AsType[ExplainError](err); isWrong {
		problem(ctx, fasthttp.StatusUnprocessableEntity, string(wrong))
		return
	}
	if err != nil {
		a.config.Log.Error("explaining a path", "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "something went wrong here; the log says what")
		return
	}
	a.respond(ctx, fasthttp.StatusOK, explained)
}

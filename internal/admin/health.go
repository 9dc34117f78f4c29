package admin

import (
	"errors"
	"maps"

	"github.com/valyala/fasthttp"
)

// readiness is the body of /readyz.
type readiness struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"`
}

// livez says that the process answers, and nothing else: what it depends on
// must not get it restarted.
func (a *Admin) livez(ctx *fasthttp.RequestCtx) {
	a.respond(ctx, fasthttp.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether the server can do all its work now.
func (a *Admin) readyz(ctx *fasthttp.RequestCtx) {
	ready, notices := a.config.Ready(), map[string]string(nil)
	if a.config.Notices != nil {
		notices = a.config.Notices()
	}
	answer := readiness{Status: "ready", Checks: CheckTexts(ready, notices)}
	for _, err := range ready {
		if err != nil {
			answer.Status = "not ready"
		}
	}
	if a.config.Draining() {
		answer.Status = "draining"
	}
	status := fasthttp.StatusOK
	if answer.Status != "ready" {
		status = fasthttp.StatusServiceUnavailable
	}
	a.respond(ctx, status, answer)
}

// CheckTexts are checks and notices as anybody may read them: "ok", or what is wrong. Of an
// error only the text of a Reason is shown.
func CheckTexts(ready map[string]error, notices map[string]string) map[string]string {
	texts := map[string]string{}
	for name, err := range ready {
		texts[name] = "ok"
		if err == nil {
			continue
		}
		texts[name] = "failing"
		if reason, ok := errors.AsType[Reason](err); ok {
			texts[name] = string(reason)
		}
	}
	maps.Copy(texts, notices)
	return texts
}

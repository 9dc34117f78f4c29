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
	answer := readiness{Status: "ready", Checks: map[string]string{}}
	for name, err := range a.config.Ready() {
		answer.Checks[name] = "ok"
		if err == nil {
			continue
		}
		answer.Status, answer.Checks[name] = "not ready", "failing"
		var reason Reason
		if errors.As(err, &reason) {
			answer.Checks[name] = string(reason)
		}
	}
	if a.config.Notices != nil {
		maps.Copy(answer.Checks, a.config.Notices())
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

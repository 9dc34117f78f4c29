package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-json"
	"github.com/valyala/fasthttp"
)

// reloadWithin is how long a request waits for a reload to end. A file system that does
// not answer can make it last longer.
const reloadWithin = 10 * time.Second

// ReloadError says why a configuration was not reloaded, a line for each fault. Its text is
// shown to the client, who may administrate: it is what hearth check prints.
type ReloadError struct{ Faults []string }

func (e *ReloadError) Error() string {
	return "the configuration was not reloaded, the one before stays"
}

// ErrDraining says that the server is about to end, so that nothing is reloaded.
var ErrDraining = errors.New("the server is draining")

// reload reads the configuration again and answers when that has ended, with its faults.
func (a *Admin) reload(ctx *fasthttp.RequestCtx) {
	body, ok := a.takeBody(ctx)
	if !ok {
		return
	}
	if !emptyObject(body) {
		problem(ctx, fasthttp.StatusUnprocessableEntity, "a reload has no settings: send {} or nothing as the body")
		return
	}
	within, cancel := context.WithTimeout(context.Background(), reloadWithin)
	defer cancel()
	err := a.config.Reload(within)
	faulty, isFaulty := errors.AsType[*ReloadError](err)
	switch {
	case err == nil:
		a.respond(ctx, fasthttp.StatusOK, map[string]string{"status": "reloaded"})
	case errors.Is(err, context.DeadlineExceeded):
		a.respond(ctx, fasthttp.StatusAccepted, map[string]string{"status": "running"})
	case isFaulty:
		problem(ctx, fasthttp.StatusUnprocessableEntity, err.Error())
		ctx.SetBody(encodeFaulty(faulty))
	case errors.Is(err, ErrDraining):
		problem(ctx, fasthttp.StatusServiceUnavailable, "the server is draining; the next one reads the configuration at its start", fasthttp.HeaderRetryAfter, "1")
	default:
		a.config.Log.Error("reloading for a request", "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "something went wrong here; the log says what")
	}
}

// emptyObject tells whether a body asks for nothing in particular.
func emptyObject(body []byte) bool {
	value := jsontext.Value(bytes.Clone(body))
	return len(bytes.TrimSpace(body)) == 0 || value.Compact() == nil && string(value) == "{}"
}

// encodeFaulty is a problem with the member faults (RFC 9457, section 3.2).
func encodeFaulty(e *ReloadError) []byte {
	const status = fasthttp.StatusUnprocessableEntity
	body, err := json.Marshal(struct {
		problemBody
		Faults []string `json:"faults"`
	}{problemBody{"about:blank", fasthttp.StatusMessage(status), status, e.Error()}, e.Faults})
	if err != nil {
		panic(fmt.Sprintf("BUG: encoding faults: %v", err)) // strings and a number always encode
	}
	return body
}

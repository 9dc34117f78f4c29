package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

// Bounds of one invalidation.
const (
	maxTargets        = 10_000 // paths and keys
	invalidateTimeout = 10 * time.Second
)

// invalidate drops records from all tiers. It is all or nothing as far as the
// request's faults go: Config.Invalidate checks every target before it starts.
func (a *Admin) invalidate(ctx *fasthttp.RequestCtx) {
	body, ok := a.takeBody(ctx)
	if !ok {
		return
	}
	targets, fault := readTargets(body, maxTargets)
	if fault != nil {
		problem(ctx, fault.status, fault.detail)
		return
	}
	// Not ctx: it would end the work at the beginning of a shutdown, which
	// waits for requests to finish.
	work, cancel := context.WithTimeout(context.Background(), invalidateTimeout)
	defer cancel()
	n, err := a.config.Invalidate(work, targets)
	var atFault *InvalidateError
	switch {
	case err == nil:
		a.respond(ctx, fasthttp.StatusOK, map[string]any{"status": "success", "count": n})
	case errors.Is(err, ErrContinues):
		// How many it will be nobody knows yet.
		a.respond(ctx, fasthttp.StatusAccepted, map[string]any{"status": "running"})
	case errors.As(err, &atFault):
		problem(ctx, fasthttp.StatusUnprocessableEntity, atFault.Error())
	case errors.Is(err, context.DeadlineExceeded):
		a.config.Log.Error("invalidating ran out of time", "done", n, "error", err)
		problem(ctx, fasthttp.StatusGatewayTimeout, "ran out of time; some may be invalidated, send the request again")
	case errors.Is(err, ErrRefused):
		a.config.Log.Error("invalidating", "done", n, "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "the shared tier refuses to remove a key; the log says which right is missing")
	default:
		a.config.Log.Error("invalidating", "done", n, "error", err)
		problem(ctx, fasthttp.StatusServiceUnavailable, "not all could be invalidated; send the request again, the log says why",
			fasthttp.HeaderRetryAfter, "1")
	}
}

// fault is a body that cannot be used.
type fault struct {
	status int
	detail string
}

// readTargets reads {"paths":[…],"keys":[…],"resource":"…","delete":true}, all optional,
// at least one target in all. Unknown and duplicate members are refused: a "key"
// written for "keys" would invalidate nothing and look like success.
func readTargets(body []byte, most int) (all Targets, _ *fault) {
	if !jsontext.Value(body).IsValid() {
		return all, &fault{fasthttp.StatusBadRequest, "the body is not valid JSON, or has a member twice"}
	}
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if next(d).Kind() != '{' {
		return all, &fault{fasthttp.StatusUnprocessableEntity, `the body must be an object with "paths", "keys" or "resource"`}
	}
	for d.PeekKind() != '}' {
		member, ok, want := next(d).String(), true, "an array of strings"
		switch member {
		case "paths":
			all.Paths, ok = readStrings(d)
		case "keys":
			all.Keys, ok = readStrings(d)
		case "resource":
			name := next(d)
			ok, want = name.Kind() == '"' && name.String() != "", "the name of a resource"
			if ok {
				all.Resource = name.String()
			}
		case "delete":
			yes := next(d)
			ok, want = yes.Kind() == 't' || yes.Kind() == 'f', "true or false"
			all.Delete = yes.Kind() == 't'
		default:
			return all, &fault{fasthttp.StatusUnprocessableEntity,
				fmt.Sprintf(`member %q is unknown; there are "paths", "keys", "resource" and "delete"`, printable([]byte(member)))}
		}
		if !ok {
			return all, &fault{fasthttp.StatusUnprocessableEntity, fmt.Sprintf("member %q must be %s", member, want)}
		}
	}
	switch n := len(all.Paths) + len(all.Keys); {
	case n > most:
		return all, &fault{fasthttp.StatusRequestEntityTooLarge, "too many paths and keys; send several requests"}
	case n == 0 && all.Resource == "":
		return all, &fault{fasthttp.StatusUnprocessableEntity, `name at least one path or key, or a resource`}
	}
	return all, nil
}

// readStrings reads an array of strings; false where it is something else.
func readStrings(d *jsontext.Decoder) (all []string, ok bool) {
	if next(d).Kind() != '[' {
		return nil, false
	}
	for d.PeekKind() == '"' {
		all = append(all, next(d).String())
	}
	return all, next(d).Kind() == ']'
}

// next reads a token of JSON that is known to be valid.
func next(d *jsontext.Decoder) jsontext.Token {
	token, err := d.ReadToken()
	if err != nil {
		panic(fmt.Sprintf("BUG: reading valid JSON: %v", err))
	}
	return token
}

package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

// InvalidateError says which path or key of an invalidation is at fault. Its
// text is shown to the client.
type InvalidateError struct {
	Target string // the path or key
	Reason string // such as "matches the template of no resource"
}

func (e *InvalidateError) Error() string { return fmt.Sprintf("%q %s", e.Target, e.Reason) }

// invalidate drops records from all tiers. It is all or nothing as far as the
// request's faults go: Deps.Invalidate checks every target before it starts.
func (a *Admin) invalidate(ctx *fasthttp.RequestCtx) {
	body, ok := a.takeBody(ctx)
	if !ok {
		return
	}
	targets, fault := readTargets(body, a.config.MaxTargets)
	if fault != nil {
		problem(ctx, fault.status, fault.detail)
		return
	}
	// Not ctx: it would end the work at the beginning of a shutdown, which
	// waits for requests to finish.
	work, cancel := context.WithTimeout(context.Background(), a.config.InvalidateTimeout)
	defer cancel()
	n, err := a.deps.Invalidate(work, targets)
	var blame *InvalidateError
	switch {
	case err == nil:
		a.respond(ctx, fasthttp.StatusOK, map[string]any{"status": "success", "count": n})
	case errors.As(err, &blame):
		problem(ctx, fasthttp.StatusUnprocessableEntity, blame.Error())
	case errors.Is(err, context.DeadlineExceeded):
		a.deps.Log.Error("invalidating ran out of time", "done", n, "error", err)
		problem(ctx, fasthttp.StatusGatewayTimeout, "ran out of time; some may be invalidated, send the request again")
	case errors.Is(err, ErrRefused):
		a.deps.Log.Error("invalidating", "done", n, "error", err)
		problem(ctx, fasthttp.StatusInternalServerError, "the shared tier refuses to remove a key; the log says which right is missing")
	default:
		a.deps.Log.Error("invalidating", "done", n, "error", err)
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		problem(ctx, fasthttp.StatusServiceUnavailable, "not all could be invalidated; send the request again, the log says why")
	}
}

// Targets is the body of an invalidation. Delete says that records without a
// source, whose only copy is in the shared tier, may be among them.
type Targets struct {
	Paths, Keys []string
	Delete      bool
}

// ErrRefused says that the shared tier refuses to remove a key, and will again.
var ErrRefused = errors.New("the shared tier refuses to remove a key")

// fault is a body that cannot be used.
type fault struct {
	status int
	detail string
}

// readTargets reads {"paths":[…],"keys":[…],"delete":true}, all optional, at
// least one target in all. Unknown and duplicate members are refused: a misspelt
// "key" that invalidates nothing would look like success.
func readTargets(body []byte, most int) (Targets, *fault) {
	var all Targets
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if d.PeekKind() != '{' {
		if err := d.SkipValue(); err != nil {
			return all, malformed()
		}
		return all, &fault{fasthttp.StatusUnprocessableEntity, `the body must be an object with "paths" or "keys"`}
	}
	if _, err := d.ReadToken(); err != nil {
		return all, malformed()
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return all, malformed()
		}
		var list *[]string
		member := name.String()
		switch member {
		case "paths":
			list = &all.Paths
		case "keys":
			list = &all.Keys
		case "delete":
			yes, err := d.ReadToken()
			switch {
			case err != nil:
				return all, malformed()
			case yes.Kind() != 't' && yes.Kind() != 'f':
				return all, &fault{fasthttp.StatusUnprocessableEntity, `member "delete" must be true or false`}
			}
			all.Delete = yes.Bool()
			continue
		default:
			return all, &fault{fasthttp.StatusUnprocessableEntity,
				fmt.Sprintf(`member %q is unknown; there are "paths", "keys" and "delete"`, printable([]byte(member)))}
		}
		values, f := readStrings(d, member, most-len(all.Paths)-len(all.Keys))
		if f != nil {
			return all, f
		}
		*list = values
	}
	if _, err := d.ReadToken(); err != nil {
		return all, malformed()
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return all, malformed()
	}
	if len(all.Paths)+len(all.Keys) == 0 {
		return all, &fault{fasthttp.StatusUnprocessableEntity, `name at least one path or key`}
	}
	return all, nil
}

// readStrings reads an array of at most that many strings.
func readStrings(d *jsontext.Decoder, member string, most int) ([]string, *fault) {
	wrong := &fault{fasthttp.StatusUnprocessableEntity, fmt.Sprintf("member %q must be an array of strings", member)}
	first, err := d.ReadToken()
	if err != nil {
		return nil, malformed()
	}
	if first.Kind() != '[' {
		return nil, wrong
	}
	var all []string
	for {
		item, err := d.ReadToken()
		switch {
		case err != nil:
			return nil, malformed()
		case item.Kind() == ']':
			return all, nil
		case item.Kind() != '"':
			return nil, wrong
		case len(all) == most:
			return nil, &fault{fasthttp.StatusRequestEntityTooLarge, "too many paths and keys; send several requests"}
		}
		all = append(all, item.String())
	}
}

func malformed() *fault {
	return &fault{fasthttp.StatusBadRequest, "the body is not valid JSON, or has a member twice"}
}

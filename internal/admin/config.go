package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"hearth/internal/auth"
)

// Config is what the rest of the server lends to an Admin. All of it but Hosts and
// Notices is required, and must be safe for concurrent use.
type Config struct {
	// Hosts are the names besides localhost and IP addresses that requests
	// may have in Host (server.admin_hosts), each with or without a port.
	Hosts []string
	// Tokens decides who may do what.
	Tokens *auth.Tokens
	// Valid tells whether a credential that Tokens took is still one after reloads: a stream
	// outlives the configuration that it was opened under.
	Valid func(authorization [][]byte, scope auth.Scope) bool
	// Ready maps the name of each check to nil or to what is wrong. It must
	// answer from what is known already and not wait for anything: a service
	// manager asks it while tiers are down. Only the text of a Reason is
	// shown.
	Ready func() map[string]error
	// Notices maps the name of what is wrong, and does not keep the server from
	// being ready, to words as in a Reason; nil for none.
	Notices func() map[string]string
	// Draining reports that the server is about to stop.
	Draining func() bool
	// Metrics writes the page of /metrics as Prometheus text.
	Metrics func(io.Writer) error
	// Stats returns what /api/stats shows, encoded with encoding/json.
	Stats func() any
	// Invalidate drops what the targets name from all tiers and returns the
	// number of keys dropped. An *InvalidateError is the request's fault; ErrRefused
	// says that sending it again does not help, and ErrContinues that the records of a
	// resource are still being removed when ctx ends, and go on being.
	Invalidate func(ctx context.Context, t Targets) (int, error)
	// Reload reads the configuration again and serves it, and returns when that has ended, or
	// ctx: then it goes on. A *ReloadError says what is wrong with the configuration, and
	// ErrDraining that nothing is reloaded any more.
	Reload func(ctx context.Context) error
	// Explain says what would be done for a GET of a path, and why, encoded with
	// encoding/json. An ExplainError is the request's fault.
	Explain func(ctx context.Context, path string) (any, error)
	// Hot lists the hottest keys, most at most, in one of HotOrders; ok is false for another
	// order.
	Hot       func(by string, most int) (keys any, ok bool)
	HotOrders []string
	// Watch is the source of ticks and histories.
	Watch Watch
	// Log takes failures whose cause a client must not see.
	Log *slog.Logger
}

// Reason is why a check is not ready, in words that anybody who reaches the
// listener may read: /readyz needs no token. Errors returned by Config.Ready that
// are or wrap no Reason are shown as "failing", since the text of a driver's
// error may hold an address or a password.
type Reason string

func (r Reason) Error() string { return string(r) }

// Targets is the body of an invalidation. Resource means all records of it. Delete says
// that records without a source, whose only copy is in the shared tier, may be among them.
type Targets struct {
	Paths, Keys []string
	Resource    string
	Delete      bool
}

// InvalidateError says which path, key or resource of an invalidation is at fault. Its
// text is shown to the client.
type InvalidateError struct {
	Target string // the path, key or resource
	Reason string // such as "matches the template of no resource"
}

func (e *InvalidateError) Error() string { return fmt.Sprintf("%q %s", e.Target, e.Reason) }

// ErrRefused says that the shared tier refuses to remove a key, and will again.
var ErrRefused = errors.New("the shared tier refuses to remove a key")

// ErrContinues says that removing the records of a resource takes longer than a request
// may, and goes on.
var ErrContinues = errors.New("the records are still being removed")

// ExplainError says what is wrong with a path that is to be explained. Its text is shown
// to the client.
type ExplainError string

func (e ExplainError) Error() string { return string(e) }

// Watch is what a timeline lends. All of it is safe for concurrent use.
type Watch interface {
	// Latest is the tick of the present second, encoded; nil before the first one.
	Latest() []byte
	// Follow sends the latest tick and each later one, encoded, until stop is called or the
	// server ends: then ticks is closed. Who does not keep up misses ticks. ok is false when
	// as many follow as may.
	Follow() (ticks <-chan []byte, stop func(), ok bool)
	// History is a span ("hour" or "day"), encoded; ok is false for another one.
	History(span string) (history []byte, ok bool)
}

// Admin is the handler of the admin listener. It starts no goroutines and
// holds nothing that needs closing.
type Admin struct {
	config  Config
	hosts   auth.Hosts
	silence time.Duration // of a stream; see there
}

package admin

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of the admin listener's server. They are fixed: the listener is for
// few clients that are near.
const (
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 75 * time.Second
	maxHeader      = 16 << 10 // bytes
	maxConnections = 1024
)

// Server makes a fasthttp.Server that answers with Handle and has timeouts,
// the limit on bodies, and problem+json for errors that fasthttp itself finds.
// The caller serves it and shuts it down.
func (a *Admin) Server() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      a.Handle,
		ErrorHandler:                 refuseUnread,
		ExpectHandler:                a.expect,
		NoDefaultServerHeader:        true,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           a.config.MaxBody,
		Concurrency:                  maxConnections,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		Logger:                       serverLog{a.deps.Log},
	}
}

// refuseUnread answers a request that fasthttp could not read.
func refuseUnread(ctx *fasthttp.RequestCtx, err error) {
	status, detail := unread(err)
	problem(ctx, status, detail)
}

// unread says how to answer an error of fasthttp's reader.
func unread(err error) (status int, detail string) {
	var header *fasthttp.ErrSmallBuffer
	var network *net.OpError
	switch {
	case errors.As(err, &header):
		return fasthttp.StatusRequestHeaderFieldsTooLarge, "the request line and headers are too long"
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return fasthttp.StatusRequestEntityTooLarge, "the body is too long"
	case errors.As(err, &network) && network.Timeout():
		return fasthttp.StatusRequestTimeout, "the request took too long to arrive"
	default:
		return fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1"
	}
}

// serverLog gives fasthttp's own messages, which are about broken connections,
// the log's form.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Debug("admin listener", "message", fmt.Sprintf(format, args...))
}

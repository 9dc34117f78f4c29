package admin

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of the admin listener. They are fixed: it is for few clients that are
// near.
const (
	ReadTimeout    = 10 * time.Second
	WriteTimeout   = 30 * time.Second
	IdleTimeout    = 75 * time.Second
	MaxConnections = 1024

	maxHeader = 16 << 10 // bytes
)

// Server makes a fasthttp.Server that answers with Handle and has the limit on
// bodies, and problem+json for errors that fasthttp itself finds. The caller
// serves it on a listener that keeps the timeouts and the number of connections,
// and shuts it down.
func (a *Admin) Server() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      a.Handle,
		ErrorHandler:                 refuseUnread,
		ExpectHandler:                a.expect,
		HeaderReceived:               hideContent,
		NoDefaultServerHeader:        true,
		StreamRequestBody:            true, // see hideContent
		ReadBufferSize:               maxHeader,
		MaxRequestBodySize:           maxBody,
		Concurrency:                  2 * MaxConnections, // a worker ends later than its connection
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		Logger:                       serverLog{a.config.Log},
	}
}

// serverLog gives fasthttp's own messages, which are about broken connections,
// the log's form.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Debug("admin listener", "message", fmt.Sprintf(format, args...))
}

// Refusal is the whole HTTP response for connections beyond the limit.
func Refusal() []byte {
	body := encodeProblem(fasthttp.StatusServiceUnavailable,
		"as many connections are open as this listener may have; try again after the time in Retry-After, or over a connection you have")
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n%s", len(body), body)
}

package main

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	work     = 100 * time.Millisecond
	workPath = "/concurrent_test"
	heldPath = "/held" // whose requests are held while memory is weighed
)

// serveBare answers every request with one constant after a wait, as cheaply as
// fasthttp allows. It runs as a process of its own. GET /count tells how many
// requests have come, that one not included.
func serveBare(addr, hold string) error {
	held, err := time.ParseDuration(hold)
	if err != nil {
		return err
	}
	var count atomic.Int64
	body := []byte(`{"current_requests":1000000}`)
	server := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			switch string(ctx.Path()) {
			case "/count":
				ctx.SetBody(strconv.AppendInt(nil, count.Load(), 10))
				return
			case heldPath:
				count.Add(1)
				time.Sleep(held)
			default:
				count.Add(1)
				time.Sleep(work)
			}
			ctx.Response.Header.SetContentType("application/json")
			ctx.Response.Header.Set("Cache-Control", "no-store")
			ctx.Response.SetBodyRaw(body)
		},
	}
	return server.ListenAndServe(addr)
}

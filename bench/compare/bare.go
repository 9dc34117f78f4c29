package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/valyala/fasthttp"
)

// reference is an answer of Hearth that the bare handler repeats.
type reference struct {
	Headers [][2]string // without Date and Content-Length, which fasthttp writes
	Body    string
}

// serveBare answers every request with one constant, as cheaply as fasthttp
// allows: the floor for anything built on it. It runs as a process of its own.
func serveBare(addr, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("reading the answer to repeat: %w", err)
	}
	type header struct{ name, value []byte }
	var headers []header
	var contentType []byte
	for _, h := range r.Headers {
		if h[0] == fasthttp.HeaderContentType {
			contentType = []byte(h[1])
			continue
		}
		headers = append(headers, header{[]byte(h[0]), []byte(h[1])})
	}
	body := []byte(r.Body)
	server := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.SetContentTypeBytes(contentType)
			for i := range headers {
				ctx.Response.Header.SetCanonical(headers[i].name, headers[i].value)
			}
			ctx.Response.SetBodyRaw(body)
		},
	}
	return server.ListenAndServe(addr)
}

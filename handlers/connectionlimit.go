package handlers

import (
	"fmt"

	"github.com/valyala/fasthttp"
)

// refusalWaits is how many answers there are to connections beyond the limit.
const refusalWaits = 3

// Refusals are the whole HTTP responses that a listener sends, in turn, to
// connections beyond its limit. They are bytes, made once: refusing a connection must
// cost next to nothing, and the listener knows no HTTP. There is no request then,
// hence no Date, no request id and nothing that depends on an origin. They differ in
// Retry-After, from one second on, so that those refused together do not come back
// together.
func (s *Server) Refusals() [][]byte {
	p := refuse(fasthttp.StatusServiceUnavailable,
		"as many connections are open as the server may have; try again after the time in Retry-After, or over a connection you have")
	body := p.appendJSON(nil)
	cors := ""
	if s.cors.all {
		cors = "Access-Control-Allow-Origin: *\r\n"
	}
	var all [][]byte
	for after := 1; after <= refusalWaits; after++ {
		all = append(all, fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\n"+
			"Cache-Control: no-store\r\n%sRetry-After: %d\r\nConnection: close\r\n\r\n%s", mediaProblem, len(body), cors, after, body))
	}
	return all
}

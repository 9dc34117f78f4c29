package handlers

import "github.com/valyala/fasthttp"

// health tells a load balancer whether to send requests here. It speaks of
// this process only: were it to follow a tier, the whole fleet would leave the
// balancer at the moment Redis does. For the same reason it is never refused
// for want of room.
func (s *Server) health(c *call) error {
	status, body := fasthttp.StatusOK, `{"status":"ok"}`
	switch s.deps.State() {
	case Starting:
		status, body = fasthttp.StatusServiceUnavailable, `{"status":"starting"}`
	case Draining:
		status, body = fasthttp.StatusServiceUnavailable, `{"status":"draining"}`
	}
	c.expected = true
	c.json(status, valueNoStore, []byte(body))
	return nil
}

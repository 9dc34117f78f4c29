package handlers

import "github.com/valyala/fasthttp"

// What every configuration serves.

// root answers as the recipe does, so that a first request shows a live server.
func root(r *request) error {
	r.json(fasthttp.StatusOK, valueNoCache, []byte(`{"Hello":"World"}`))
	return nil
}

// docsPage serves the interactive page, which needs nothing from elsewhere. Its policy keeps anything but the
// page's own scripts from running, as the page talks to this very server.
func (s *Server) docsPage(r *request) error {
	h := &r.Response.Header
	h.SetContentType("text/html; charset=utf-8")
	h.SetCanonical(headerCacheControl, valueNoCache)
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	if s.config.Docs.CSP != "" {
		h.Set(fasthttp.HeaderContentSecurityPolicy, s.config.Docs.CSP)
	}
	r.Response.SetBodyRaw(s.config.Docs.Page)
	return nil
}

// openAPI serves the document that describes this configuration. It changes with a
// reload, so no cache in front may keep it without asking.
func (s *Server) openAPI(r *request) error {
	r.json(fasthttp.StatusOK, valueNoCache, s.config.Docs.OpenAPI)
	return nil
}

// health tells a load balancer whether to send requests here. It speaks of
// this process only: if it followed a tier, the whole fleet would leave the
// balancer at the moment Redis does. For the same reason it takes no place among
// the work beyond memory, and overload never makes it fail.
func (s *Server) health(r *request) error {
	status, body := fasthttp.StatusOK, `{"status":"ok"}`
	switch s.deps.State() {
	case Starting:
		status, body = fasthttp.StatusServiceUnavailable, `{"status":"starting"}`
	case Draining:
		status, body = fasthttp.StatusServiceUnavailable, `{"status":"draining"}`
	}
	r.expected = true
	r.json(status, valueNoStore, []byte(body))
	return nil
}

package handlers

import "github.com/valyala/fasthttp"

// root answers as the recipe does, so that a first request shows a live server.
func root(c *call) error {
	c.json(fasthttp.StatusOK, valueNoCache, []byte(`{"Hello":"World"}`))
	return nil
}

// docsPage serves the interactive page. Its policy keeps anything but the
// page's own scripts from running, as the page talks to this very server.
func (s *Server) docsPage(c *call) error {
	h := &c.Response.Header
	h.SetContentType("text/html; charset=utf-8")
	h.SetCanonical(headerCacheControl, valueNoCache)
	h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	if s.config.Docs.CSP != "" {
		h.Set(fasthttp.HeaderContentSecurityPolicy, s.config.Docs.CSP)
	}
	c.Response.SetBodyRaw(s.config.Docs.Page)
	return nil
}

// openAPI serves the document that describes this configuration.
func (s *Server) openAPI(c *call) error {
	c.json(fasthttp.StatusOK, valueNoCache, s.config.Docs.OpenAPI)
	return nil
}

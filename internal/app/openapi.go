package app

import (
	"encoding/json"
	"hearth/handlers"
	"hearth/internal/openapi"
	"hearth/internal/param"
	"hearth/internal/source/database"
)

// docs makes the OpenAPI document and the page that shows it.
func (g *generation) docs(version string) (handlers.Docs, error) {
	// Everything in it follows from the configuration: nothing is asked of a source.
	api := openapi.API{
		Title: g.cfg.Server.Title, Version: version,
		Description: "Hot JSON reads from memory, kept coherent with the shared tier and with the source behind it. " +
			"HEAD works wherever GET does, the counters excepted.",
		TokensRequired: !g.tokens.Open(),
		Directives:     g.honor() != handlers.HonorNone, DirectivesNeedToken: g.honor() == handlers.HonorAuthorised,
		MaxMany: g.cfg.Server.MaxMany, MaxItems: g.cfg.Server.MaxItems, MaxBody: int(g.cfg.Server.MaxBody),
	}
	for _, r := range g.resources {
		api.Resources = append(api.Resources, g.describe(r))
	}
	for _, c := range g.cfg.Counters {
		api.Counters = append(api.Counters, openapi.Counter{Path: c.Path.Text})
	}
	for _, b := range g.cfg.Batches {
		api.Batches = append(api.Batches, openapi.Batch{Path: b.Path.Text, Resource: b.Resource, TTL: b.TTL, Example: demoItems})
	}
	document, err := openapi.Document(api)
	if err != nil {
		return handlers.Docs{}, err
	}
	page := openapi.Page{Title: api.Title, Document: document, Dashboard: dashboardURL(g.cfg)}
	return handlers.Docs{Page: openapi.DocsPage(page), CSP: openapi.ContentSecurityPolicy(), OpenAPI: document}, nil
}

// describe says of a resource what a client needs to know.
func (g *generation) describe(r resource) openapi.Resource {
	params := r.Path.Params()
	body := database.BodyOf(r.cached.Records)
	d := openapi.Resource{
		Name: r.Name, Path: r.Path, Envelope: r.Envelope, Many: r.Rows == "many",
		CanPut: r.CanPut(), CanDelete: r.CanDelete(), ManyRead: r.Path.Collection() != "",
		HasSource: r.cached.Records != nil, Forwarded: r.origin != nil, Renames: r.Select != "",
		PutIgnored: body.Ignored, PutClosed: body.Closed,
	}
	for _, m := range body.Members {
		d.PutMembers = append(d.PutMembers, openapi.Member{Name: m.Name, Required: m.Required})
	}
	switch {
	case !d.HasSource && len(params) == 1 && params[0].Type != param.UUID:
		d.Example, d.ExampleArgs = demoItem, []string{"1"}
	case g.cfg.Database.Demo && r.Select == database.DemoSelect:
		// The resource that the demo's config.toml ships with. Only of its records
		// is it known that anybody may see them: a document with examples out of
		// somebody's database would publish them.
		d.Example, d.ExampleArgs, d.MissingArgs = database.DemoRecord(), []string{"1"}, []string{"1000000"}
		d.PutExample = demoBody
	}
	return d
}

var (
	demoItem  = json.RawMessage(`{"id":1,"name":"lamp","price":12.5}`)
	demoItems = json.RawMessage(`[{"id":1,"name":"lamp","price":12.5},{"id":2,"name":"desk","price":140}]`)
	demoBody  = json.RawMessage(`{"name":"张三","city":"北京"}`)
)

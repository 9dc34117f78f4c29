package app

import (
	"encoding/json"

	"hearth/handlers"
	"hearth/internal/openapi"
	"hearth/internal/param"
	"hearth/internal/source"
)

// docs makes the OpenAPI document and the page that shows it.
func (g *generation) docs(version string) (handlers.Docs, error) {
	api := openapi.API{
		Title: "Hearth", Version: version,
		Description: "Hot JSON reads from memory, kept coherent with the shared tier and with the source behind it. " +
			"HEAD works wherever GET does, the counters excepted.",
		TokensRequired: !g.keeper.Open(),
		MaxMany:        g.cfg.Server.MaxMany, MaxItems: g.cfg.Server.MaxItems, MaxBody: int(g.cfg.Server.MaxBody),
	}
	for _, k := range g.kinds {
		api.Resources = append(api.Resources, g.describe(k))
	}
	for _, c := range g.cfg.Counters {
		api.Counters = append(api.Counters, openapi.Counter{Path: c.Path.Text})
	}
	for _, b := range g.cfg.Batches {
		api.Batches = append(api.Batches, openapi.Batch{Path: b.Path.Text, Resource: b.Resource, Example: demoItems})
	}
	document, err := openapi.Document(api)
	if err != nil {
		return handlers.Docs{}, err
	}
	return handlers.Docs{Page: openapi.DocsPage(api.Title), CSP: openapi.ContentSecurityPolicy(), OpenAPI: document}, nil
}

func (g *generation) describe(k kind) openapi.Resource {
	r := openapi.Resource{
		Name: k.Name, Path: k.Path.Plain(), Params: k.Path.Params(), Envelope: k.Envelope, Many: k.Rows == "many",
		CanPut: k.Upsert != "", CanDelete: k.Delete != "", ManyRead: k.Path.Collection() != "",
		HasSource: k.cached.Records != nil, Renames: k.Select != "",
	}
	body := source.BodyOf(k.cached.Records)
	r.PutIgnored, r.PutClosed = body.Ignored, body.Closed
	for _, m := range body.Members {
		r.PutMembers = append(r.PutMembers, openapi.Member{Name: m.Name, Required: m.Required})
	}
	if k.cached.Records == nil {
		if len(r.Params) == 1 && r.Params[0].Type != param.UUID {
			r.Example, r.ExampleArgs = demoItem, []string{"1"}
		}
		return r
	}
	if g.isDemo(k) {
		r.Example, r.ExampleArgs, r.MissingArgs = source.DemoRecord(), []string{"1"}, []string{"1000000"}
		r.PutExample = demoBody
	}
	return r
}

// isDemo tells whether k is the resource that the demo's config.toml ships
// with. Only of its records is it known that anybody may see them: a document
// with examples out of somebody's database would publish them.
func (g *generation) isDemo(k kind) bool {
	return g.cfg.Database.Demo && k.Select == source.DemoSelect
}

var (
	demoItem  = json.RawMessage(`{"id":1,"name":"lamp","price":12.5}`)
	demoItems = json.RawMessage(`[{"id":1,"name":"lamp","price":12.5},{"id":2,"name":"desk","price":140}]`)
	demoBody  = json.RawMessage(`{"name":"张三","city":"北京"}`)
)

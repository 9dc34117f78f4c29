package app

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/admin"
)

// explanation is what /api/explain shows. What is not known of a path is left out.
type explanation struct {
	Path     string             `json:"path"`
	Resource string             `json:"resource,omitempty"`
	Params   map[string]string  `json:"params,omitempty"`
	Key      string             `json:"key,omitempty"`
	Keys     []string           `json:"keys,omitempty"` // of a many-read
	Cache    *cache.Explanation `json:"cache,omitempty"`
	Source   *explainedSource   `json:"source,omitempty"`
	Feed     *explainedFeed     `json:"feed,omitempty"`
	Limits   []string           `json:"limits,omitempty"` // that count the request, and whom
	Server   string             `json:"server"`           // "serving", "starting", "draining"
	Full     bool               `json:"full"`             // server.max_in_flight is reached
	Next     cache.Next         `json:"next"`
}

type explainedSource struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	Spared   bool   `json:"spared"` // its breaker is open
	ReadOnly bool   `json:"read_only"`
}

type explainedFeed struct {
	Watched bool `json:"watched"`  // changes of the resource are told
	Live    bool `json:"live"`     // somebody drains the outbox
	Lost    bool `json:"degraded"` // copies live feed.degraded_ttl at most
}

// explain tells what would be done for a GET of a path, and changes nothing by it.
func (a *App) explain(ctx context.Context, target string) (any, error) {
	target, err := targetOf(target)
	if err != nil {
		return nil, err
	}
	g := a.current.Load()
	found := g.front.Find(target)
	e := &explanation{Path: found.Path, Server: "serving", Full: g.front.Full()}
	if found.Resource != nil {
		e.Resource = found.Resource.Name
		a.explainTiers(g, e, found.Resource)
	}
	a.explainNext(ctx, e, found)
	e.foreseeLimits(found.Limits)
	switch a.serverState() {
	case handlers.Draining:
		e.Server = "draining"
		e.Next.Sentence += "; the server is about to end: it closes each connection behind its answer, and soon takes no new ones"
	case handlers.Starting:
		e.Server = "starting"
	}
	return e, nil
}

// foreseeLimits says what limits make of the request: they come before all else.
func (e *explanation) foreseeLimits(limits []handlers.CoveringLimit) {
	for _, l := range limits {
		e.Limits = append(e.Limits, l.Text)
	}
	if at := slices.IndexFunc(limits, func(l handlers.CoveringLimit) bool { return l.Denies }); at >= 0 {
		e.Next = cache.Next{Tier: "none", Status: 429, Sentence: "the limit " + limits[at].Text + "; it admits no more until its window is over"}
	} else if len(limits) > 0 {
		e.Next.Sentence += "; limits count the request, and a client that has used one up is answered 429"
	}
}

// explainNext says what the next GET is answered with, but for limits.
func (a *App) explainNext(ctx context.Context, e *explanation, found handlers.Found) {
	r := found.Resource
	switch found.Kind {
	case handlers.KindRecord:
		e.Key, e.Params = found.Keys[0], found.Params
		known := a.cache.Explain(ctx, r, e.Key, e.Full)
		e.Cache, e.Next = &known, known.Next
	case handlers.KindMany:
		e.Keys = found.Keys
		e.Next = a.cache.ExplainMany(ctx, r, found.Keys, e.Full)
	case handlers.KindCounter:
		e.Key = found.Keys[0]
		e.Next = a.explainCounter(e)
	case handlers.KindFixed:
		e.Next = cache.Next{Tier: "none", Status: 200, Sentence: "the path is no record's: it is answered without any tier"}
		if e.Path == "/healthz" && a.serverState() != handlers.Serving {
			e.Next.Status = 503
		}
	default:
		e.Next = cache.Next{Tier: "none", Status: found.Status, Sentence: "the request is refused before anything is looked up: " + found.Detail}
	}
}

// explainCounter says what becomes of a request for a counter.
func (a *App) explainCounter(e *explanation) cache.Next {
	switch err := a.cache.Readable(e.Key); {
	case e.Full:
		return cache.Next{Tier: "none", Status: 503, Sentence: "as many requests are at work as may be (server.max_in_flight), and a counter needs the shared tier"}
	case err != nil:
		return cache.Next{Tier: "none", Status: 503, Sentence: "the path is a counter's, and the shared tier cannot be asked"}
	}
	return cache.Next{Tier: "none", Status: 200, Sentence: "the path is a counter's: each GET is counted in the shared tier, and nothing is kept"}
}

// explainTiers tells of what is behind the cache.
func (a *App) explainTiers(g *generation, e *explanation, r *cache.Resource) {
	if r.Records != nil {
		e.Source = &explainedSource{Name: r.Source, Up: true, Spared: a.breakerOpen(g, r.Source)}
		if r.Source == sourceDatabase && g.db != nil {
			e.Source.Up, e.Source.ReadOnly = g.db.Up(), g.db.ReadOnly()
		}
	}
	if f := a.changes.feed; f != nil {
		status := f.Status()
		_, lost := status.Lost[r.Name]
		e.Feed = &explainedFeed{Watched: g.watches(r.Name), Live: status.Live, Lost: lost}
	}
}

// targetOf is the path and the query of what an operator has copied from somewhere: a path or a
// whole URL.
func targetOf(target string) (string, error) {
	before, _, _ := strings.Cut(target, "?")
	if strings.Contains(before, "://") && !strings.HasPrefix(target, "/") {
		u, err := url.Parse(target)
		if err != nil {
			return "", admin.ExplainError("path must be a path such as /user/7, or a URL")
		}
		target = u.RequestURI()
	}
	if !strings.HasPrefix(target, "/") {
		return "", admin.ExplainError("path must begin with a slash, as /user/7 does")
	}
	if at := strings.IndexFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7f }); at >= 0 {
		return "", admin.ExplainError("a path has no blanks and no control characters; write %20 for a blank")
	}
	return target, nil
}

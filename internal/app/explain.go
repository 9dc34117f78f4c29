package app

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"hearth/cache"
	"hearth/internal/admin"
	"hearth/internal/param"
)

// explanation is what /api/explain shows. What is not known of a path is left out.
type explanation struct {
	Path     string             `json:"path"`
	Resource string             `json:"resource,omitempty"`
	Params   map[string]string  `json:"params,omitempty"`
	Key      string             `json:"key,omitempty"`
	Cache    *cache.Explanation `json:"cache,omitempty"`
	Source   *explainedSource   `json:"source,omitempty"`
	Feed     *explainedFeed     `json:"feed,omitempty"`
	Limits   []string           `json:"limits,omitempty"` // that cover the path, and may refuse a client
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
	path, err := pathOf(target)
	if err != nil {
		return nil, err
	}
	g := a.current.Load()
	e := &explanation{Path: path, Limits: g.limitsOf(path)}
	found, ok := g.front.Locate(path)
	switch {
	case !ok:
		e.Next = cache.Next{Tier: "none", Status: 0, Sentence: "the path is no record's: it is 404, unless it is one of those that are no resource (/docs, /healthz, a counter, a batch)"}
		return e, nil
	case found.Status != 0:
		e.Resource = found.Resource.Name
		e.Next = cache.Next{Tier: "none", Status: found.Status, Sentence: "the request is refused before anything is looked up: " + found.Detail}
		return e, nil
	}
	r := found.Resource
	e.Resource, e.Key, e.Params = r.Name, found.Key, found.Params
	known := a.cache.Explain(ctx, r, found.Key)
	e.Cache, e.Next = &known, known.Next
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
	return e, nil
}

// pathOf is the path of what an operator has copied from somewhere: a path or a whole URL. A
// query does not matter to a record.
func pathOf(target string) (string, error) {
	if strings.Contains(target, "://") {
		u, err := url.Parse(target)
		if err != nil {
			return "", admin.ExplainError("path must be a path such as /user/7, or a URL")
		}
		target = u.EscapedPath()
	}
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return "", admin.ExplainError("path must begin with a slash, as /user/7 does")
	}
	return path, nil
}

// limitsOf are the names of the limits that cover a path.
func (g *generation) limitsOf(path string) (names []string) {
	for _, l := range g.cfg.Limits {
		if slices.ContainsFunc(l.Paths, func(area param.Area) bool { return area.Covers([]byte(path)) }) {
			names = append(names, l.Name)
		}
	}
	return names
}

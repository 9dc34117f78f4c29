package handlers

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
	"hearth/internal/limit"
	"hearth/internal/param"
)

// What a GET would be about is found by a router of its own that has all the routes of the
// other: so an explanation is of the same record as the answer, however the path is spelt.

// Kind is what stands behind a path.
type Kind uint8

// The kinds.
const (
	KindNone    Kind = iota // nothing, or nothing that a GET may ask for
	KindRecord              // one record
	KindMany                // as many records as the query names
	KindCounter             // a count in the shared tier
	KindFixed               // what needs no tier: documents, the health check, the greeting
)

// Found is what a GET of a target is about.
type Found struct {
	Kind     Kind
	Path     string          // of the target, as it came
	Resource *cache.Resource // of records
	Keys     []string        // of records or the counter
	Params   map[string]string
	Limits   []CoveringLimit

	// Status and Detail are how it is refused; 0: it is not.
	Status int
	Detail string
}

// CoveringLimit is a limit that counts a GET.
type CoveringLimit struct {
	Text   string
	Denies bool // it admits nobody for the moment; known only where all are counted together
}

// finder finds what a GET is about, of which the router has matched the path.
type finder func(ctx *fasthttp.RequestCtx) Found

type foundKey struct{}

// Find tells what a GET of a target, a path with its query, is about. It changes nothing.
func (s *Server) Find(target string) (f Found) {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetHost("explained")
	path := string(pathOf([]byte(target)))
	if fault := framing.Target(fasthttp.MethodGet, []byte(target)); fault != framing.None {
		f = refusedAs(framingProblem(fault))
		f.Path = path
		return f // before limits count it
	}
	switch {
	case len(target)+leastHeader > s.config.MaxHeader:
		f = Found{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Detail: "the request has more bytes than server.max_header"}
	case !isPath(&ctx):
		f = unserved()
	default:
		ctx.SetUserValue(foundKey{}, &f)
		s.finder(&ctx)
	}
	f.Path = path
	if path != "/healthz" {
		f.Limits = s.limitsOf(ctx.URI().PathOriginal())
	}
	return f
}

// leastHeader is what a request has beside its target, at least.
const leastHeader = len("GET  HTTP/1.1\r\nHost: a\r\n\r\n")

func unserved() Found { return refusedAs(notFound()) }

// refusedAs is a target that is refused before anything is looked up.
func refusedAs(err error) Found {
	p := problemOf(err)
	return Found{Status: p.status, Detail: p.detail}
}

// Full tells whether a request that needs more than memory would be refused a place now.
func (s *Server) Full() bool { return s.inFlight.Load() >= int64(s.config.MaxInFlight) }

// limitsOf are the limits that count a GET of a path.
func (s *Server) limitsOf(path []byte) (all []CoveringLimit) {
	for _, rule := range s.limits {
		if !rule.covers(path) {
			continue
		}
		counts, denies := "each client by itself", false
		switch rule.By {
		case ByGlobal:
			counts, denies = "all together", rule.Limiter.Peek(nil) == limit.Denied
		case ByHeader:
			counts = "each value of " + rule.Header + " by itself"
		}
		text := strconv.Quote(rule.Limiter.Name()) + " admits " + strconv.Itoa(rule.Rate.Count) + " requests in " + rule.Rate.Window.String() + ", and counts " + counts
		all = append(all, CoveringLimit{text, denies})
	}
	return all
}

// find finds the record of a request for one.
func (res *resource) find(ctx *fasthttp.RequestCtx) Found {
	key, args, err := res.locate(ctx)
	if err == nil {
		err = res.refused(args)
	}
	if err != nil {
		f := refusedAs(err)
		f.Resource = res.Resource
		return f
	}
	f := Found{Kind: KindRecord, Resource: res.Resource, Keys: []string{key}, Params: map[string]string{}}
	for i, p := range res.params {
		raw, _ := ctx.UserValue(res.values[i]).(string)
		if text, ok := param.Decode([]byte(raw), false); ok {
			v, _ := p.Parse(text)
			f.Params[p.Name] = v.Segment
		}
	}
	return f
}

// findMany finds the records of a many-read.
func (res *resource) findMany(limit int) finder {
	return func(ctx *fasthttp.RequestCtx) Found {
		keys, _, err := res.locateMany(ctx.URI().QueryString(), limit)
		if err != nil {
			f := refusedAs(err)
			f.Resource = res.Resource
			return f
		}
		return Found{Kind: KindMany, Resource: res.Resource, Keys: keys}
	}
}

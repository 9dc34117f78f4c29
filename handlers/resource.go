package handlers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/metrics"
	"hearth/internal/param"
	"hearth/internal/source"
)

// resource is a Resource as the requests for it need it: all that can be computed
// before the first request is computed once, and does not change afterwards.
type resource struct {
	*cache.Resource
	path         []param.Segment
	pattern      string   // the path as the router takes it
	values       []string // names under which the router hands over the parameters
	params       []param.Param
	key          param.Key
	cacheControl []byte
	reusable     bool   // by caches in front; see there
	notFound     []byte // the finished 404
	prefix       []byte // what precedes the data in an answer
	headers      preparedHeaders
	metrics      *requestMetrics
	wantsCaller  bool          // its source is told who asks; see withCaller
	refuser      source.Choosy // nil: its source takes all values
}

// newResource computes a resource from its configuration.
func newResource(c Resource, cors *corsPolicy, set *metrics.Set) *resource {
	res := &resource{
		Resource:     c.Cache,
		path:         c.Path,
		params:       param.Params(c.Path),
		cacheControl: []byte(c.CacheControl),
		metrics:      newRequestMetrics(set, c.Cache.Name),
	}
	_, res.wantsCaller = c.Cache.Records.(source.Called)
	res.refuser, _ = c.Cache.Records.(source.Choosy)
	res.pattern, res.values = routerPattern(c.Path)
	res.key = param.NewKey(c.Key, res.params)
	res.reusable = reusable(res.cacheControl)
	res.headers.init(cors, res.cacheControl)
	res.notFound = refuse(404, "no record of "+strconv.Quote(res.Name)+" is stored under this path").appendJSON(nil)
	if res.Envelope != "" {
		res.prefix = append(appendQuoted([]byte{'{'}, res.Envelope), ':')
	}
	return res
}

// routerPattern is a path as the router takes it, /user/{s1}, and the names in it.
// The router wants one name for what stands in one place, whichever resource it
// belongs to.
func routerPattern(path []param.Segment) (pattern string, names []string) {
	for i, seg := range path {
		if seg.Param == "" {
			if seg.Literal == "" || strings.ContainsAny(seg.Literal, "{}/?#%") {
				panic("BUG: " + strconv.Quote(seg.Literal) + " is no literal segment of a path")
			}
			pattern += "/" + seg.Literal
			continue
		}
		if !seg.Type.Known() {
			panic("BUG: parameter " + strconv.Quote(seg.Param) + " has no kind")
		}
		name := "s" + strconv.Itoa(i)
		pattern += "/{" + name + "}"
		names = append(names, name)
	}
	return pattern, names
}

// hasOne tells whether the path's only parameter is its last segment.
func (res *resource) hasOne() bool {
	return len(res.params) == 1 && res.path[len(res.path)-1].Param != ""
}

// locate reads the path parameters of a request and builds the record's key.
// Nothing it returns aliases the request, whose buffers fasthttp uses again while
// a load may still run.
func (res *resource) locate(ctx *fasthttp.RequestCtx) (key string, args source.Args, err error) {
	values := make([]param.Value, len(res.params))
	args = make(source.Args, len(res.params))
	for i, p := range res.params {
		raw, _ := ctx.UserValue(res.values[i]).(string)
		if raw == "" {
			return "", nil, notFound()
		}
		if values[i], err = parseParam(p, []byte(raw), "path", -1); err != nil {
			return "", nil, err
		}
		args[i] = values[i].Arg
	}
	return res.key.Of(values...), args, nil
}

// parseParam decodes a parameter, once, and validates it. It stands in the path, or
// in the query as one of several values, counted by at; a query has "+" for a blank.
func parseParam(p param.Param, raw []byte, in string, at int) (v param.Value, err error) {
	text, ok := param.Decode(raw, at >= 0)
	if !ok {
		return v, refuse(fasthttp.StatusBadRequest,
			in+" parameter "+strconv.Quote(p.Name)+" has a percent sign without two hexadecimal digits; write %25 for the sign itself")
	}
	v, reason := p.Parse(text)
	if reason == "" {
		return v, nil
	}
	what := in + " parameter " + strconv.Quote(p.Name)
	if at >= 0 {
		what += ", value " + strconv.Itoa(at) + " counted from 0,"
	}
	return v, refuse(fasthttp.StatusUnprocessableEntity, what+" "+reason)
}

// refused is the answer to values that the source cannot be asked for. Nothing
// is looked up for them, and nothing kept: there is no such record to know of.
func (res *resource) refused(args source.Args) error {
	if res.refuser == nil {
		return nil
	}
	name := res.refuser.Refuses(args)
	if name == "" {
		return nil
	}
	return refuse(fasthttp.StatusUnprocessableEntity, "parameter "+strconv.Quote(name)+
		" must be one step of a path: without slashes, backslashes and control characters, also encoded ones, and not dots alone")
}

// parts are the body of a single answer, with null as the data of a missing
// record. The entry holds a whole body with "source":"cache"; where the answer comes
// from a load its end is exchanged, and nothing is copied for that.
func (res *resource) parts(a cache.Answer) (front, back []byte) {
	switch {
	case !a.Entry.Missing():
		return a.Parts()
	case res.prefix == nil:
		return nullData, nil
	case a.FromDB:
		return res.prefix, nullLoaded
	}
	return res.prefix, nullCached
}

var nullData, nullLoaded, nullCached = []byte("null"), []byte(`null,"source":"db"}`), []byte(`null,"source":"cache"}`)

// fastRoute is a resource reached by a literal prefix and one parameter.
type fastRoute struct {
	*resource
	kind param.Kind
	// shadows are values of the parameter which a literal path of its own
	// takes: /user/count beside /user/{name}.
	shadows []string
	limits  []*limitRule // that may cover its requests
}

// shadowed tells whether a literal path takes this value. There are few, so a loop
// is faster than a map, and it needs no copy of raw.
func (f *fastRoute) shadowed(raw []byte) bool {
	for _, s := range f.shadows {
		if s == string(raw) {
			return true
		}
	}
	return false
}

// A database may find one row by several spellings of its key. The record has one
// canonical path all the same, that of the row's own key. Readers of the other
// paths are redirected to it. Writers are refused: a client that followed a
// redirect with a write would have to be sure that the row is still the same.

// redirectToCanonical turns "the row has another key" into a redirect.
func (res *resource) redirectToCanonical(err error) error {
	path, other := res.canonicalPath(err)
	switch {
	case !other:
		return err
	case path == "":
		return &problem{status: 404, detail: "no such record", cause: err}
	}
	return &problem{status: 308, header: fasthttp.HeaderLocation, value: path, cause: err,
		detail: "this record has one path, spelt as the row's own key is; it is in Location"}
}

// refuseNonCanonical turns it into the refusal of a write. It comes out of the write's
// own transaction, which found the row and was rolled back.
func (res *resource) refuseNonCanonical(err error) error {
	path, other := res.canonicalPath(err)
	switch {
	case !other:
		return err
	case path == "":
		return &problem{status: 409, cause: err,
			detail: "the row that this path leads to, or would make, has another key, which no path can spell; nothing was changed"}
	}
	return &problem{status: 409, cause: err,
		detail: "the row that this path leads to has another key; nothing was changed. Write to the path that is spelt as the row's own key is: " + path}
}

// canonicalPath returns the path of the row that err says was found, if it says so,
// or "" if no path leads to it. The row's own values go through the parameters'
// canonical form like any client's: a value that no parameter takes has no path.
func (res *resource) canonicalPath(err error) (path string, other bool) {
	spelling, ok := errors.AsType[*source.SpellingError](err)
	if !ok {
		return "", false
	}
	if spelling.Args == nil {
		return "", true
	}
	next := 0
	for _, seg := range res.path {
		text := seg.Literal
		if seg.Param != "" {
			v, reason := res.params[next].Parse(fmt.Sprint(spelling.Args[next]))
			if reason != "" {
				return "", true
			}
			text, next = v.Segment, next+1
		}
		path += "/" + text
	}
	return path, true
}

package handlers

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/param"
	"hearth/internal/source"
)

// record is a resource as the requests for it need it.
type resource struct {
	*cache.Resource
	path         []param.Segment
	params       []param.Param
	values       []string // names under which the router hands over the parameters
	key          param.Key
	cacheControl []byte
	notFound     []byte // the finished 404
	prefix       []byte // what precedes the data in an answer
	headers      preparedHeaders
	metrics      *requestMetrics
	wantsCaller  bool          // its source is told who asks; see call.tell
	refuser      source.Choosy // nil: its source takes all values
}

// hotRoute is a record reached by a literal prefix and one parameter.
type fastRoute struct {
	*resource
	kind param.Kind
	// shadows are values of the parameter which a literal path of its own
	// takes: /user/count beside /user/{name}.
	shadows []string
	limits  []*limitRule // that may cover its requests
}

func (r *fastRoute) shadowed(raw []byte) bool {
	for _, s := range r.shadows {
		if s == string(raw) {
			return true
		}
	}
	return false
}

func (s *Server) newResource(c Resource) (*resource, string) {
	res := &resource{
		Resource:     c.Cache,
		path:         c.Path,
		cacheControl: valueNoCache,
		metrics:      newRequestMetrics(s.deps.Metrics, c.Cache.Name),
	}
	_, res.wantsCaller = c.Cache.Records.(source.Called)
	res.refuser, _ = c.Cache.Records.(source.Choosy)
	if c.CacheControl != "" {
		res.cacheControl = []byte(c.CacheControl)
	}
	var path strings.Builder
	for i, seg := range c.Path {
		path.WriteByte('/')
		if seg.Param == "" {
			checkLiteral(seg.Literal)
			path.WriteString(seg.Literal)
			continue
		}
		if !seg.Type.Known() {
			panic("BUG: parameter " + strconv.Quote(seg.Param) + " has no kind")
		}
		// The router wants one name for what stands in one place, whichever
		// resource it belongs to.
		name := "s" + strconv.Itoa(i)
		path.WriteString("{" + name + "}")
		res.params = append(res.params, param.Param{Name: seg.Param, Type: seg.Type})
		res.values = append(res.values, name)
	}
	res.key = param.NewKey(c.Key, res.params)
	res.headers.init(&s.cors, res.cacheControl)
	res.notFound = refuse(404, "no record of "+strconv.Quote(res.Name)+" is stored under this path").appendJSON(nil)
	if res.Envelope != "" {
		res.prefix = append(appendQuoted([]byte{'{'}, res.Envelope), ':')
	}
	return res, path.String()
}

// checkLiteral refuses what the router would take for a pattern.
func checkLiteral(text string) {
	if text == "" || strings.ContainsAny(text, "{}/?#%") {
		panic("BUG: " + strconv.Quote(text) + " is no literal segment of a path")
	}
}

// locate reads the path parameters of c and builds the record's key. Nothing
// it returns aliases the request.
func (res *resource) locate(r *request) (key string, args source.Args, err error) {
	values := make([]param.Value, len(res.params))
	args = make(source.Args, len(res.params))
	for i, p := range res.params {
		raw, _ := r.UserValue(res.values[i]).(string)
		if raw == "" {
			return "", nil, notFound()
		}
		text, ok := param.Decode([]byte(raw), false)
		if !ok {
			return "", nil, refuse(fasthttp.StatusBadRequest,
				"path parameter "+strconv.Quote(p.Name)+" has a percent sign without two hexadecimal digits; write %25 for the sign itself")
		}
		v, reason := p.Parse(text)
		if reason != "" {
			return "", nil, refuse(fasthttp.StatusUnprocessableEntity, "path parameter "+strconv.Quote(p.Name)+" "+reason)
		}
		values[i], args[i] = v, v.Arg
	}
	return res.key.Of(values...), args, nil
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

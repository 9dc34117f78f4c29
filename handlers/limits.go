package handlers

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/limit"
	"hearth/internal/param"
)

// Limit is a rate limit and the requests it covers.
type Limit struct {
	Limiter *limit.Limiter
	Rate    limit.Rate // for the texts of refusals
	By      By
	Header  string // with ByHeader: whose value is counted apart
	Paths   []param.Area
}

// By says what a limit counts apart.
type By uint8

// What a limit may count by.
const (
	ByClient By = iota // the address of the client; see proxies
	ByGlobal           // nothing: one count for all
	ByHeader           // the value of a header; requests without it share a count
)

// quota is a Limit as requests need it.
type limitRule struct {
	Limit
	header []byte
	detail string // of a refusal
}

func newLimitRule(l Limit) *limitRule {
	q := &limitRule{Limit: l}
	if l.By == ByHeader {
		var h fasthttp.RequestHeader
		h.Set(l.Header, "x") // fasthttp knows how it writes names
		for name := range h.All() {
			q.header = bytes.Clone(name)
		}
	}
	q.detail = "the limit " + strconv.Quote(l.Limiter.Name()) + " admits " + strconv.Itoa(l.Rate.Count) + " requests in " +
		l.Rate.Window.String() + "; try again after the time in Retry-After"
	return q
}

// covers tells whether the quota counts requests for path, as it came.
func (q *limitRule) covers(path []byte) bool {
	for i := range q.Paths {
		if q.Paths[i].Covers(path) {
			return true
		}
	}
	return false
}

// quotasOf are the quotas that may cover requests for a path template.
func (s *Server) limitsOf(path []param.Segment) (all []*limitRule) {
	for _, q := range s.limits {
		if slices.ContainsFunc(q.Paths, func(p param.Area) bool { return p.Meets(path) }) {
			all = append(all, q)
		}
	}
	return all
}

// rates is what limits have to say in an answer's headers. The zero value is
// what requests have that no limit covers.
type rateHeaders struct {
	state, policy []byte
}

func (r *rateHeaders) add(l *limit.Limiter, d limit.Decision) {
	if len(r.state) > 0 {
		r.state, r.policy = append(r.state, ", "...), append(r.policy, ", "...)
	}
	r.state = l.AppendState(r.state, d)
	r.policy = append(r.policy, l.Policy()...)
}

func (r *rateHeaders) reset() { r.state, r.policy = r.state[:0], r.policy[:0] }

// write puts the headers on an answer.
func (r *rateHeaders) write(h *fasthttp.ResponseHeader) {
	if len(r.state) > 0 {
		h.SetCanonical(headerRateLimit, r.state)
		h.SetCanonical(headerRateLimitPolicy, r.policy)
	}
}

// maxQuotas bounds the limits that may cover one request.
const maxLimits = 64

// tryQuotas decides from what this instance knows, for the fast path. Unless it
// admits, nothing was taken from any limit, and the slow path decides: it can
// ask the shared tier, and knows how to refuse.
func (s *Server) tryLimits(ctx *fasthttp.RequestCtx, quotas []*limitRule, path []byte, sc *scratch) limit.Verdict {
	sc.rates.reset()
	var taken [maxLimits]limit.Decision
	for i, q := range quotas {
		if !q.covers(path) {
			continue
		}
		d := q.Limiter.Try(s.subject(ctx, q, sc))
		if d.Verdict != limit.Admitted {
			for _, before := range taken[:i] {
				before.Undo()
			}
			return d.Verdict
		}
		taken[i] = d
		sc.rates.add(q.Limiter, d)
	}
	return limit.Admitted
}

// admit decides for the slow path, asking the shared tier if need be.
func (s *Server) admit(r *request) error {
	path, timeout := r.URI().PathOriginal(), s.config.RequestTimeout
	if r.IsOptions() || string(path) == "/healthz" {
		return nil // preflights and load balancers' questions are not the client's work
	}
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	var taken [maxLimits]limit.Decision
	for i, q := range s.limits {
		if !q.covers(path) {
			continue
		}
		subject := s.subject(r.RequestCtx, q, sc)
		d := q.Limiter.Take(s.deadlines.context(s.deps.Context, timeout, timeout/32), subject)
		r.rates.add(q.Limiter, d)
		if d.Verdict == limit.Admitted {
			taken[i] = d
			continue
		}
		for _, before := range taken[:i] {
			before.Undo()
		}
		return &problem{status: fasthttp.StatusTooManyRequests, detail: q.detail, after: d.Retry}
	}
	return nil
}

// subject is what the quota counts this request as. It lives in sc.
func (s *Server) subject(ctx *fasthttp.RequestCtx, q *limitRule, sc *scratch) []byte {
	switch q.By {
	case ByClient:
		client, foreign := s.proxies.clientOf(ctx)
		if foreign {
			s.untrusted.warn(ctx.RemoteAddr())
		}
		raw := client.As16()
		sc.subject = append(sc.subject[:0], raw[:]...)
	case ByHeader:
		sc.subject = append(sc.subject[:0], ctx.Request.Header.PeekCanonical(q.header)...)
	default:
		return nil
	}
	return sc.subject
}

// IdleLimits names the paths of limits that no route is below: most likely they
// are misspelt, and protect nothing. Limits are numbered as in Config.
func (s *Server) IdleLimits() (idle []IdleLimit) {
	for i, q := range s.limits {
		for _, p := range q.Paths {
			covers := func(r route) bool { return p.Meets(segmentsOf(r.path)) }
			if !slices.ContainsFunc(s.routes, covers) {
				idle = append(idle, IdleLimit{i, "path " + strconv.Quote(p.String()) + " of limit " + strconv.Quote(q.Limiter.Name()) + " covers no route"})
			}
		}
	}
	return idle
}

// IdleLimit is a limit with a path that no route is below.
type IdleLimit struct {
	Limit int
	Text  string
}

// segmentsOf takes a path apart as it is registered.
func segmentsOf(path string) (all []param.Segment) {
	for text := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if strings.HasPrefix(text, "{") {
			all = append(all, param.Segment{Param: text})
		} else if text != "" {
			all = append(all, param.Segment{Literal: text})
		}
	}
	return all
}

package handlers

import (
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"hearth/internal/limit"
	"hearth/internal/param"
)

// limitRule is a Limit as requests need it: with the name of its header in the form
// that requests are searched by, and with the finished text of its refusals.
type limitRule struct {
	Limit
	header []byte // with ByHeader, as fasthttp writes names
	detail string // of a refusal
}

func newLimitRule(l Limit) *limitRule {
	return &limitRule{
		Limit:  l,
		header: fasthttp.AppendNormalizedHeaderKey(nil, l.Header),
		detail: "the limit " + strconv.Quote(l.Limiter.Name()) + " admits " + strconv.Itoa(l.Rate.Count) + " requests in " +
			l.Rate.Window.String() + "; try again after the time in Retry-After",
	}
}

// covers tells whether the rule counts requests for path, as it came. A path that
// spells a segment in another way than the rule is another path to the router, too,
// so it leads to no record that the limit should cover.
func (l *limitRule) covers(path []byte) bool {
	for i := range l.Paths {
		if l.Paths[i].Covers(path) {
			return true
		}
	}
	return false
}

// rulesFor are those rules that may cover requests for a path template.
func rulesFor(path []param.Segment, rules []*limitRule) (all []*limitRule) {
	for _, rule := range rules {
		if slices.ContainsFunc(rule.Paths, func(p param.Area) bool { return p.Meets(path) }) {
			all = append(all, rule)
		}
	}
	return all
}

// rateHeaders is what limits have to say in an answer's headers. The zero value is
// that of requests that no limit covers.
type rateHeaders struct {
	state, policy []byte
}

// add appends what one limit says, as an element of both lists.
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

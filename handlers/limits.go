package handlers

import (
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/limit"
	"hearth/internal/param"
)

// tryLimits decides from what this instance knows, for the fast path. Unless it
// admits, nothing was taken from any limit, and the slow path decides: it can
// ask the shared tier, and knows how to refuse.
func (s *Server) tryLimits(ctx *fasthttp.RequestCtx, rules []*limitRule, path []byte, sc *scratch) limit.Outcome {
	sc.rates.reset()
	var taken [maxLimits]limit.Decision
	for i, rule := range rules {
		if !rule.covers(path) {
			continue
		}
		d := rule.Limiter.Try(s.subject(ctx, rule, sc))
		if d.Outcome != limit.Admitted {
			undo(taken[:i])
			return d.Outcome
		}
		taken[i] = d
		sc.rates.add(rule.Limiter, d)
	}
	return limit.Admitted
}

// admit decides for the slow path, asking the shared tier if need be. What all
// limits but the last have granted is given back when that refuses: a request
// that is not answered must not use up what others could have.
func (s *Server) admit(r *request) error {
	path := r.URI().PathOriginal()
	if r.IsOptions() || string(path) == "/healthz" {
		return nil // a browser's preflight and a balancer's check are no work that a client asks for
	}
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	var taken [maxLimits]limit.Decision
	for i, rule := range s.limits {
		if !rule.covers(path) {
			continue
		}
		subject := s.subject(r.RequestCtx, rule, sc)
		d := rule.Limiter.Take(s.deadlines.context(s.deps.Context, r.Time(), s.config.RequestTimeout), subject)
		r.rates.add(rule.Limiter, d)
		if d.Outcome != limit.Admitted {
			undo(taken[:i])
			return &problem{status: fasthttp.StatusTooManyRequests, detail: rule.detail,
				header: fasthttp.HeaderRetryAfter, value: strconv.FormatInt(limit.Seconds(d.Retry), 10)}
		}
		taken[i] = d
	}
	return nil
}

// undo gives back what was taken; the zero Decision took nothing.
func undo(taken []limit.Decision) {
	for _, d := range taken {
		d.Undo()
	}
}

// subject is what the rule counts this request as. It lives in sc; the
// limiter copies what it keeps. A client is its address in 16 bytes, so that an IPv4
// address and its IPv6 form are one; a missing header counts like an empty one.
func (s *Server) subject(ctx *fasthttp.RequestCtx, rule *limitRule, sc *scratch) []byte {
	switch rule.By {
	case ByClient:
		client, untrusted := s.proxies.clientOf(ctx.RemoteAddr(), &ctx.Request.Header)
		if untrusted {
			s.untrusted.warn(ctx.RemoteAddr())
		}
		raw := client.As16()
		sc.subject = append(sc.subject[:0], raw[:]...)
	case ByHeader:
		sc.subject = append(sc.subject[:0], ctx.Request.Header.PeekCanonical(rule.header)...)
	default:
		return nil
	}
	return sc.subject
}

// IdleLimits names the paths of limits that no route is below: most likely they
// are misspelt, and protect nothing. That is a warning and no fault, because a limit
// may be written before the resource that it is for. Limits are numbered as in Config.
func (s *Server) IdleLimits() (idle []IdleLimit) {
	for i, rule := range s.limits {
		for _, p := range rule.Paths {
			covers := func(r route) bool { return p.Meets(segmentsOf(r.path)) }
			if !slices.ContainsFunc(s.routes, covers) {
				idle = append(idle, IdleLimit{i, "path " + strconv.Quote(p.String()) + " of limit " + strconv.Quote(rule.Limiter.Name()) + " covers no route"})
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

package handlers

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/framing"
	"hearth/internal/limit"
	"hearth/internal/metrics"
	"hearth/internal/source"
)

// Honor says whose Cache-Control counts.
type Honor uint8

// Whose Cache-Control counts (server.honor_request_cache_control).
const (
	HonorNone       Honor = iota
	HonorAuthorised       // of readers whose token has the scope fresh
	HonorAll
)

// freshness is what the handlers keep for readers who ask for fresher answers than
// everybody gets. Such a read takes the slow path, where work has its bounds.
//
// asking tells by the fields of a request whether it may be such a read. It is a table,
// because every memory hit asks it: while nobody's directives can count, a browser that
// reloads is answered as fast as any other.
type freshness struct {
	honor    Honor
	asking   [framing.AllAsks]bool
	rate     *freshRate
	versions versions
	counts   [len(directiveNames)][len(freshResults)]*metrics.Counter
}

// versions are made of writes, and tell a read what it must not be older than.
type versions interface {
	NewVersion(keys ...string) string
	SinceOf(versions []byte, key string) (since int64, ok bool)
}

// newFreshness prepares what a configuration says.
func newFreshness(c Config, d Deps) freshness {
	f := freshness{honor: c.Honor, rate: newFreshRate(c.FreshRate), versions: d.Cache}
	for asks := range framing.AllAsks {
		directs := asks&(framing.AsksControl|framing.AsksPragma) != 0
		f.asking[asks] = asks&framing.AsksVersion != 0 ||
			directs && (f.honor == HonorAll || f.honor == HonorAuthorised && asks&framing.AsksAuthorization != 0)
	}
	for i, directive := range directiveNames {
		for j, result := range freshResults {
			if directive == "version" && freshResult(j) != freshMet && freshResult(j) != freshFailed {
				continue // it needs no right, and has no rate
			}
			f.counts[i][j] = d.Metrics.Counter("hearth_fresh_total", "Demands of readers for fresher answers than everybody gets, by directive and result.",
				metrics.Label{Name: "directive", Value: directive}, metrics.Label{Name: "result", Value: result})
		}
	}
	return f
}

// freshResult is what became of a demand.
type freshResult int

const (
	freshMet     freshResult = iota
	freshIgnored             // sent with a token that lacks the scope
	freshLimited             // 429, over the rate
	freshWaived              // over the rate, and answered as if it had not been asked for
	freshUnmet               // 504, only-if-cached
	freshFailed              // another error
)

// freshResults are the values of the label result.
var freshResults = [...]string{"met", "ignored", "limited", "waived", "unmet", "failed"}

// count counts a result for each directive of a request.
func (f *freshness) count(asked directives, result freshResult) {
	for bit := range directiveNames {
		if asked&(1<<bit) != 0 {
			f.counts[bit][result].Inc()
		}
	}
}

// demand is what one request asks for.
type demand struct {
	cache.Demand // but for Since, which differs from key to key
	versions     []byte
	asked        directives
	entitled     bool // the reader's token has the scope
}

// demandOf reads what a GET or HEAD asks for, as far as it counts. A demand in which
// nothing is asked is that of nearly all requests, and costs them no allocation.
func (s *Server) demandOf(r *request) (d demand) {
	h := &r.Request.Header
	if s.fresh.honor != HonorNone {
		lines := h.PeekAll(fasthttp.HeaderCacheControl)
		for _, line := range lines {
			d.asked = addDirectives(&d.Demand, d.asked, line)
		}
		if len(lines) == 0 { // else Pragma says nothing (RFC 9111, 5.4)
			d.addPragma(h)
		}
	}
	if d.asked != 0 {
		s.entitle(r, &d)
	}
	if lines := h.PeekAll(nameVersion); len(lines) > 0 {
		d.versions = bytes.Join(lines, comma)
		if len(bytes.Trim(d.versions, ", \t")) == 0 {
			d.versions = nil // an empty list
		}
	}
	return d
}

// addPragma adds what Pragma says: no-cache or nothing.
func (d *demand) addPragma(h *fasthttp.RequestHeader) {
	for _, line := range h.PeekAll(fasthttp.HeaderPragma) {
		var said cache.Demand
		if addDirectives(&said, 0, line)&noCache != 0 {
			d.Aged, d.asked = true, noCache
		}
	}
}

// entitle finds out whether the reader may ask, and forgets what it asks for if not. A
// token that is unknown, or lacks the scope, is no fault of a read: reads are open.
func (s *Server) entitle(r *request, d *demand) {
	lines := r.Request.Header.PeekAll(fasthttp.HeaderAuthorization)
	if len(lines) > 0 && !s.deps.Tokens.Open() {
		_, result := s.deps.Tokens.Check(lines, auth.Fresh)
		d.entitled = result == auth.OK
	}
	if s.fresh.honor == HonorAll || d.entitled {
		d.Allow = s.fresh.rate.allow
		return
	}
	if len(lines) > 0 {
		s.fresh.count(d.asked, freshIgnored)
	}
	*d = demand{}
}

// since puts into the demand what the versions say of a key, and tells whether anything is
// demanded of the read then. What is no version is the client's fault.
func (s *Server) since(d demand, key string) (one cache.Demand, demands bool, err error) {
	one = d.Demand
	if d.versions != nil {
		since, ok := s.fresh.versions.SinceOf(d.versions, key)
		if !ok {
			return one, false, refuse(fasthttp.StatusBadRequest,
				"hearth-version must be what the answer to a write had in that field; send it back as it came, up to 16 of them with commas between")
		}
		one.Since = since
	}
	return one, d.asked != 0 || one.Since != 0, nil
}

// waive takes back what was asked for over the rate by a reader without the scope: it is
// answered as if it had not asked, which a cache may do (RFC 9111, 5.2.1). A browser that
// reloads must not meet an error because others have used the rate up. The version stays:
// it has no rate.
func (s *Server) waive(d *demand) {
	s.fresh.count(d.asked, freshWaived)
	d.Demand, d.asked = cache.Demand{}, 0
}

// told ends a read with a demand: it counts what became of it, and turns an error into what
// the reader is told.
func (s *Server) told(r *request, d demand, err error) error {
	asked, result := d.asked, freshMet
	if d.versions != nil {
		asked |= version
	}
	switch {
	case err == nil:
	case errors.Is(err, cache.ErrNotAllowed):
		s.fresh.count(asked&^version, freshLimited)
		return s.overRate(err)
	case errors.Is(err, cache.ErrNotCached):
		r.expected = true // it is what was asked for, and no fault
		result, asked = freshUnmet, asked&^version
	case problemOf(err).status >= fasthttp.StatusInternalServerError:
		result = freshFailed
	}
	s.fresh.count(asked, result)
	return err
}

// toldOrdinary counts a demand that any answer meets: no version concerns the record.
func (s *Server) toldOrdinary(d demand) {
	if d.versions != nil {
		s.fresh.count(version, freshMet)
	}
}

// overRate refuses a reader who has the right to ask, and so must not be left to believe
// that the answer is as fresh as it asked for.
func (s *Server) overRate(cause error) *problem {
	return &problem{status: fasthttp.StatusTooManyRequests, cause: cause,
		detail: "more reads ask for records fresh from their source than server.fresh_rate allows; try again after the time in Retry-After, or without cache-control",
		header: fasthttp.HeaderRetryAfter, value: strconv.FormatInt(limit.Seconds(s.fresh.rate.wait()), 10)}
}

// readFresh answers a reader who asks for more than everybody gets. done is false for all
// others, and where that was waived: they go on as ever.
func (s *Server) readFresh(r *request, res *resource, sc *scratch, key string, args source.Args) (done bool, err error) {
	d := s.demandOf(r)
	one, demands, err := s.since(d, key)
	if err != nil {
		return true, err
	}
	if !demands {
		s.toldOrdinary(d)
		return false, nil
	}
	if err := res.refused(args); err != nil {
		return true, err
	}
	ctx, err := r.startWork(r.Time())
	if err != nil {
		return true, s.told(r, d, err)
	}
	defer r.endWork()
	ctx = r.withCaller(ctx, res)
	a, err := s.readReserved(ctx, res, key, args, &one)
	if errors.Is(err, cache.ErrNotAllowed) && !d.entitled {
		s.waive(&d)
		if one = (cache.Demand{Since: one.Since}); one.Since == 0 {
			s.toldOrdinary(d)
			return false, nil
		}
		a, err = s.readReserved(ctx, res, key, args, &one)
	}
	if err = s.told(r, d, err); err != nil {
		return true, res.redirectToCanonical(err)
	}
	if err := s.answer(r, res, sc, a); err != nil {
		return true, err
	}
	if age, known := ageOf(&a); known && d.asked != 0 {
		r.writeAge(age)
	}
	return true, nil
}

// ageOf is how long ago the source had what is answered, at most, if that is known. It is
// told to readers who ask by directives: to others, who do not ask how old an answer is, a
// bound that is far above the truth would say less than nothing.
func ageOf(a *cache.Answer) (age time.Duration, known bool) {
	return a.Age, a.FromDB || a.Age > 0
}

// writeAge writes the field (RFC 9111, 5.1), in seconds that have begun: an answer is never
// shown younger than it is.
func (r *request) writeAge(age time.Duration) {
	seconds := (age + time.Second - 1) / time.Second
	r.Response.Header.SetCanonical(headerAge, strconv.AppendInt(nil, int64(seconds), 10))
}

package openapi

import (
	"slices"
	"strconv"
	"strings"
)

// Names of the shared headers, which are components.
const (
	headerETag        = "ETag"
	headerCacheStatus = "CacheStatus"
	headerCache       = "CacheControl"
	headerNoStore     = "NoStore"
	headerVary        = "Vary"
	headerRetryAfter  = "RetryAfter"
	headerRate        = "RateLimit"
	headerRatePolicy  = "RateLimitPolicy"
	headerAuth        = "WWWAuthenticate"
	headerAllow       = "Allow"
	headerLocation    = "Location"
)

// sharedHeader is a response header that several answers carry.
type sharedHeader struct {
	component   string
	name        string
	description string
	schema      object
}

func headerTable() []sharedHeader {
	text := object{{"type", "string"}}
	return []sharedHeader{
		{headerETag, "ETag", "A validator of data and shape, the same on every instance and from every tier; weak where the answer also tells the tier. Send it back as `If-None-Match`, or as the condition of a write.",
			text},
		{headerCacheStatus, "Cache-Status", "What each tier did (RFC 9211), from the origin's side to the client's, such as `Hearth-Memory; hit; ttl=41`.", text},
		{headerCache, "Cache-Control", "`no-cache` unless the resource sets its own; `no-store` on stale and untracked answers.", text},
		{headerNoStore, "Cache-Control", "Always `no-store`.", object{{"type", "string"}, {"const", "no-store"}}},
		{headerVary, "Vary", "`Accept-Encoding` wherever a compressed variant may be chosen.", text},
		{headerRetryAfter, "Retry-After", "Seconds to wait before the next try.", object{{"type", "integer"}, {"minimum", 0}}},
		{headerRate, "RateLimit", `What is left of a limit's window: r requests, for t seconds, such as ` + "`\"api\";r=42;t=1`" + `; r is a lower bound.`, text},
		{headerRatePolicy, "RateLimit-Policy", `The limit itself: q requests in w seconds, such as ` + "`\"api\";q=5000;w=1`.", text},
		{headerAuth, "WWW-Authenticate", "The scheme to use, `Bearer`.", text},
		{headerLocation, "Location", "The record's own path.", object{{"type", "string"}, {"format", "uri-reference"}}},
		{headerAllow, "Allow", "The methods that the path has; sent with 405.", text},
	}
}

// use returns references to shared headers, under the names they are sent by.
func (b *builder) use(components ...string) object {
	var out object
	for _, h := range headerTable() {
		if slices.Contains(components, h.component) {
			b.headers[h.component] = true
			out = append(out, member{h.name, ref("headers", h.component)})
		}
	}
	return out
}

// sharedHeaders lists those that were used.
func (b *builder) sharedHeaders() object {
	var out object
	for _, h := range headerTable() {
		if b.headers[h.component] {
			out = append(out, member{h.component, object{{"description", h.description}, {"schema", h.schema}}})
		}
	}
	return out
}

// refusal is an error answer that several operations share.
type refusal struct {
	status      string
	component   string
	description string
	headers     []string // besides Cache-Control: no-store
}

func refusalTable() []refusal {
	return []refusal{
		{"308", "OtherSpelling", "The record is found by this spelling of its key and goes by another one.", []string{headerLocation}},
		{"400", "BadRequest", "The request is malformed: an escape such as `%zz`, or a body that is not JSON.", nil},
		{"401", "Unauthorized", "A token is needed, and none or an unknown one was sent.", []string{headerAuth}},
		{"403", "Forbidden", "The token lacks the scope `write`, or the request comes from a page of another origin.", nil},
		{"404", "NotFound", "There is no such record.", nil},
		{"408", "RequestTimeout", "The request did not arrive in time.", nil},
		{"409", "Conflict", "Other records refer to this one, or the row that was found goes by another spelling of its key. Nothing was changed.", nil},
		{"412", "PreconditionFailed", "A condition of the request does not hold: the record is another one by now, or `If-Match` was given a weak validator, which never matches strongly.", nil},
		{"413", "TooLarge", "The body has too many bytes, or the batch too many items.", nil},
		{"415", "UnsupportedMediaType", "The body's `Content-Type` is none that this path takes.", nil},
		{"417", "ExpectationFailed", "`Expect` is something else than `100-continue`.", nil},
		{"422", "Unprocessable", "A parameter or a part of the body is missing, has the wrong type, is too long or carries control bytes.", nil},
		{"429", "TooManyRequests", "A rate limit is used up.", []string{headerRetryAfter, headerRate, headerRatePolicy}},
		{"431", "HeaderTooLarge", "Request line and headers have too many bytes.", nil},
		{"500", "InternalError", "The source refuses what the configuration asks of it, or the server is at fault. Trying again does not help until the operator has acted.", nil},
		{"502", "BadGateway", "What is stored, or what the source has, is not JSON.", nil},
		{"503", "Unavailable", "The server is at its limit, or what it needs for this request is away.", []string{headerRetryAfter}},
		{"504", "Timeout", "Time ran out. A write may have been stored without being confirmed.", nil},
		{"505", "VersionNotSupported", "The request is neither HTTP/1.1 nor HTTP/1.0.", nil},
		{"default", "Refused", "Any other refusal, such as 405 for a method that the path does not have.", []string{headerAllow}},
	}
}

// refusals lists those that were used.
func (b *builder) refusals() object {
	var out object
	for _, r := range refusalTable() {
		if b.refused[r.component] {
			out = append(out, member{r.component, response{
				Description: r.description,
				Headers:     b.use(append([]string{headerNoStore}, r.headers...)...),
				Content:     object{{typeProblem, mediaType{Schema: ref("schemas", "Problem")}}},
			}})
		}
	}
	return out
}

// anywhere are the refusals of any request, whatever it asks for. Those with 503
// are not among them because one operation has a 503 of its own.
var anywhere = []string{"400", "408", "413", "417", "431", "500", "505", "default"}

// refuse returns references to the error answers of the given statuses, of any
// request's, in the table's order, and to the one for everything else.
func (b *builder) refuse(statuses ...string) object {
	var out object
	for _, r := range refusalTable() {
		if slices.Contains(anywhere, r.status) || slices.Contains(statuses, r.status) {
			b.refused[r.component] = true
			out = append(out, member{r.status, ref("responses", r.component)})
		}
	}
	return out
}

// bare gives the same statuses as answers without a body, for HEAD.
func (b *builder) bare(statuses ...string) object {
	var out object
	for _, r := range refusalTable() {
		if slices.Contains(anywhere, r.status) || slices.Contains(statuses, r.status) {
			out = append(out, member{r.status, response{
				Description: r.description,
				Headers:     b.use(append([]string{headerNoStore}, r.headers...)...),
			}})
		}
	}
	return out
}

// limits returns the rate limits of a path.
func (b *builder) limits(path string) []Limit {
	var out []Limit
	for _, l := range b.api.Limits {
		if len(l.Paths) == 0 {
			out = append(out, l)
			continue
		}
		for _, pattern := range l.Paths {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			if pattern == path || isPrefix && strings.HasPrefix(path, prefix) {
				out = append(out, l)
				break
			}
		}
	}
	return out
}

// limited adds what limits of a path change about its operations: a status,
// two headers, and a sentence.
func (b *builder) limited(path string, statuses, headers []string, text string) ([]string, []string, string) {
	for i, l := range b.limits(path) {
		if i == 0 {
			statuses = append(statuses, "429")
			headers = append(headers, headerRate, headerRatePolicy)
		}
		text += " At most " + l.Rate + " " + share(l.By) + " (limit `" + l.Name + "`)."
	}
	return statuses, headers, strings.TrimSpace(text)
}

// share says in words whose requests a limit counts together.
func share(by string) string {
	switch name, isHeader := strings.CutPrefix(by, "header:"); {
	case isHeader:
		return "for each value of the header `" + name + "`"
	case by == "client":
		return "for each client"
	}
	return "for all clients together"
}

// size writes a number of bytes as people say it, where that is exact.
func size(bytes int) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return strconv.Itoa(bytes>>20) + " MiB"
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return strconv.Itoa(bytes>>10) + " KiB"
	}
	return strconv.Itoa(bytes) + " bytes"
}

package handlers

import (
	"fmt"
	"strings"
	"testing"

	"hearth/cache"
)

func TestBatch(t *testing.T) {
	f := newFixture(t)
	f.send(t, "GET", "/item/1", "").wantProblem(t, 404, "no record")
	// Of two items with one id the last wins, and both count.
	f.send(t, "POST", "/batch_process", ` [ {"id":1,"v":"first"}, {"v":[1, 2],"id":"1"} , {"id":"b c"}] `,
		"Content-Type: application/json").want(t, 200, `{"status":"success","count":3}`)
	for range 3 {
		f.send(t, "GET", "/item/1", "").want(t, 200, `{"item":{"v":[1, 2],"id":"1"},"source":"cache"}`)
	}
	f.send(t, "GET", "/item/b%20c", "").want(t, 200, `{"item":{"id":"b c"},"source":"cache"}`)
	f.send(t, "POST", "/batch_process", `[{"id":-9223372036854775808},{"i\u0064":9007199254740993}]`).
		want(t, 200, `{"status":"success","count":2}`)
	f.send(t, "GET", "/item/9007199254740993", "").want(t, 200, `{"item":{"i\u0064":9007199254740993},"source":"cache"}`)
	f.send(t, "POST", "/batch_process", `[]`).want(t, 200, `{"status":"success","count":0}`)
	a := f.send(t, "POST", "/batch_process", "\r\n{\"id\":\"n1\"}\n\n {\"id\":\"n2\"} \r\n", "Content-Type: application/x-ndjson")
	a.want(t, 200, `{"status":"success","count":2}`)
	a.wantHeader(t, "Cache-Control", "no-store")
	f.send(t, "GET", "/item/n2", "").want(t, 200, `{"item":{"id":"n2"},"source":"cache"}`)
}

func TestBatchRefusesBadBodies(t *testing.T) {
	const ndjson = "Content-Type: application/x-ndjson"
	many := "[" + strings.Repeat(`{"id":1},`, 100)
	f := newFixture(t)
	for _, c := range []struct {
		name, body, field string
		status            int
		words             string
	}{
		{"empty", "", "", 400, "is empty"},
		{"object", `{"id":1}`, "", 422, "must be a JSON array"},
		{"null", `null`, "", 422, "must be a JSON array"},
		{"malformed at once", `x`, "", 400, "not valid JSON"},
		{"truncated", `[{"id":1},{"id":2`, "", 400, "item 1, counted from 0, ends in the middle"},
		{"truncated array", `[{"id":1}`, "", 400, "item 1, counted from 0, ends in the middle"},
		{"trailing comma", `[{"id":1},]`, "", 400, "item 1"},
		{"trailing data", `[{"id":1}] x`, "", 400, "must end behind its array"},
		{"two arrays", `[{"id":1}][{"id":2}]`, "", 400, "must end behind its array"},
		{"no object", `[{"id":1},2]`, "", 422, "item 1, counted from 0, must be a JSON object"},
		{"no id", `[{"id":1},{"ID":2}]`, "", 422, `item 1, counted from 0, needs an "id"`},
		{"null id", `[{"id":null}]`, "", 422, `item 0, counted from 0, needs an "id"`},
		{"bool id", `[{"id":true}]`, "", 422, `needs an "id"`},
		{"object id", `[{"id":{}}]`, "", 422, `needs an "id"`},
		{"fraction", `[{"id":1.5}]`, "", 422, "without point or exponent"},
		{"1.0", `[{"id":1.0}]`, "", 422, "without point or exponent"},
		{"exponent", `[{"id":1e2}]`, "", 422, "without point or exponent"},
		{"too big", `[{"id":9223372036854775808}]`, "", 422, "64-bit integer"},
		{"empty id", `[{"id":""}]`, "", 422, "must not be empty"},
		{"NUL in id", `[{"id":"a\u0000"}]`, "", 422, "control characters"},
		{"long id", `[{"id":"` + strings.Repeat("x", 513) + `"}]`, "", 422, "512 bytes"},
		{"duplicate members", `[{"id":1,"a":1,"a":2}]`, "", 400, "two members of one name"},
		{"two ids", `[{"id":1,"id":2}]`, "", 400, "two members of one name"},
		{"two ids, one escaped", `[{"id":1,"\u0069d":2}]`, "", 400, "two members of one name"},
		{"no UTF-8", "[{\"id\":1,\"a\":\"\xff\"}]", "", 400, "UTF-8"},
		{"deep", `[{"id":1,"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}]`, "", 400, "64 levels"},
		{"very deep", `[{"id":1,"a":` + strings.Repeat("[", 20000), "", 400, "item 0"},
		{"one item too many", many + `{"id":1}]`, "", 413, "item 100, counted from 0, is one too many"},
		{"lines: array", `[{"id":1}]`, ndjson, 422, "item 0, counted from 0, must be a JSON object"},
		{"lines: two on one", `{"id":1}{"id":2}`, ndjson, 400, "item 0, counted from 0, must stand alone"},
		{"lines: broken over two", "{\"id\":1}\n{\"id\":\n2}", ndjson, 400, "item 1, counted from 0, ends in the middle"},
		{"half a surrogate pair", `[{"id":1,"a":"\ud800"}]`, "", 400, "UTF-8"},
		{"a byte order mark", "\ufeff[{\"id\":1}]", "", 400, "not valid JSON"},
		{"lines: a blank of Unicode", "{\"id\":1}\u00a0\n{\"id\":2}", ndjson, 400, "item 0, counted from 0, must stand alone"},
		{"lines: no id", "{\"id\":1}\n{}", ndjson, 422, `item 1, counted from 0, needs an "id"`},
		{"form", "id=1", "Content-Type: application/x-www-form-urlencoded", 415, "application/x-ndjson"},
		{"compressed", "x", "Content-Encoding: gzip", 415, "compressed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var fields []string
			if c.field != "" {
				fields = append(fields, c.field)
			}
			f.send(t, "POST", "/batch_process", c.body, fields...).wantProblem(t, c.status, c.words)
			f.send(t, "GET", "/item/1", "").wantProblem(t, 404, "no record") // bad input stores nothing
		})
	}
	f.send(t, "POST", "/bares", `[{"id":1}]`).wantProblem(t, 422, `has an "id" that must be a UUID`)
	f.send(t, "POST", "/batch_process", many[:len(many)-1]+"]").want(t, 200, `{"status":"success","count":100}`)
}

func TestBatchOfTenThousandAndOne(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *Deps) { c.MaxItems, c.MaxBody = 10_000, 1<<20 })
	body := "[" + strings.Repeat(`{"id":1},`, 10_000) + `{"id":2}]`
	f.send(t, "POST", "/batch_process", body).wantProblem(t, 413, "item 10000, counted from 0, is one too many: a batch may have 10000 items")
}

func TestBatchPartlyStored(t *testing.T) {
	f := newFixture(t)
	refused := fmt.Errorf("OOM command not allowed")
	f.breakTiers(broken{err: refused, failed: map[string]bool{"item:1": true, "item:b": true}})
	f.send(t, "POST", "/batch_process", `[{"id":1},{"id":"b"},{"id":"c"},{"id":"1"},{"id":"c"}]`).
		want(t, 502, `{"status":"partial","count":2,"failed":["1","b"]}`)
	if !strings.Contains(f.log.String(), refused.Error()) {
		t.Errorf("the log does not tell the cause: %s", f.log)
	}
	f.breakTiers(broken{err: refused})
	f.send(t, "POST", "/batch_process", `[{"id":1}]`).want(t, 502, `{"status":"partial","count":0,"failed":[1]}`)
	f.breakTiers(broken{err: cache.ErrUnavailable})
	f.send(t, "POST", "/batch_process", `[{"id":1},{"id":2}]`).wantProblem(t, 503, "cannot be reached")
	f.breakTiers(broken{err: cache.ErrUnavailable, failed: map[string]bool{"item:1": true}})
	f.send(t, "POST", "/batch_process", `[{"id":1},{"id":2}]`).want(t, 502, `{"status":"partial","count":1,"failed":[1]}`)
}

package openapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"hearth/internal/openapi"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// described are the descriptions that every property below must hold for.
func described() map[string]openapi.API {
	return map[string]openapi.API{
		"demo":  demo(),
		"full":  full(),
		"empty": {Title: "Hearth", Version: "0"},
	}
}

// generate returns the document of api and its decoded form.
func generate(tb testing.TB, api openapi.API) ([]byte, map[string]any) {
	tb.Helper()
	text, err := openapi.Document(api)
	if err != nil {
		tb.Fatalf("Document: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		tb.Fatalf("the document is not JSON: %v", err)
	}
	return text, doc.(map[string]any)
}

func TestDocumentGolden(t *testing.T) {
	for _, name := range []string{"demo", "full"} {
		text, _ := generate(t, described()[name])
		var got bytes.Buffer
		if err := json.Indent(&got, text, "", "  "); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".golden.json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s differs (-want +got); run with -update if that is meant:\n%s", file, diff)
		}
	}
}

func TestDocumentIsDeterministic(t *testing.T) {
	for name, api := range described() {
		first, _ := generate(t, api)
		for range 5 {
			if again, _ := generate(t, api); !bytes.Equal(first, again) {
				t.Errorf("%s: two documents of one description differ", name)
			}
		}
	}
}

// TestDocumentIsValid holds the document against the published schema of
// OpenAPI 3.1, which checks everything but the schemas within it, and every one
// of those against the meta-schema of JSON Schema, by compiling it.
func TestDocumentIsValid(t *testing.T) {
	spec, err := jsonschema.UnmarshalJSON(strings.NewReader(datamodel.OpenAPI31SchemaData))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("openapi.json", spec); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, api := range described() {
		_, doc := generate(t, api)
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %#v", name, err)
		}
		if got := doc["openapi"]; got != "3.1.0" {
			t.Errorf("%s: openapi = %v, want 3.1.0", name, got)
		}
	}
}

// TestExamplesMatchTheirSchemas validates every example of a parameter, a
// request and a response against the schema beside it.
func TestExamplesMatchTheirSchemas(t *testing.T) {
	for name, api := range described() {
		_, doc := generate(t, api)
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		c.DefaultDraft(jsonschema.Draft2020)
		if err := c.AddResource("doc.json", doc); err != nil {
			t.Fatal(err)
		}
		compiled := 0
		walk(doc, "", func(at string, node map[string]any) {
			if _, ok := node["schema"]; !ok || strings.Contains(at, "/example") || strings.Contains(at, "/properties") {
				return
			}
			s, err := c.Compile("doc.json#" + at + "/schema")
			if err != nil {
				t.Errorf("%s: schema at %s: %v", name, at, err)
				return
			}
			compiled++
			if value, ok := node["example"]; ok {
				if err := s.Validate(value); err != nil {
					t.Errorf("%s: example at %s: %v", name, at, err)
				}
			}
			examples, _ := node["examples"].(map[string]any)
			for key, e := range examples {
				if err := s.Validate(e.(map[string]any)["value"]); err != nil {
					t.Errorf("%s: example %s at %s: %v", name, key, at, err)
				}
			}
		})
		if compiled == 0 {
			t.Errorf("%s: no schema found", name)
		}
	}
}

func TestReferencesResolve(t *testing.T) {
	for name, api := range described() {
		_, doc := generate(t, api)
		used := map[string]bool{}
		walk(doc, "", func(at string, node map[string]any) {
			ref, ok := node["$ref"].(string)
			if !ok {
				return
			}
			used[ref] = true
			var found any = doc
			for _, key := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := found.(map[string]any)
				found = m[key]
			}
			if found == nil {
				t.Errorf("%s: %s refers to %s, which is not there", name, at, ref)
			}
		})
		for kind, components := range doc["components"].(map[string]any) {
			for key := range components.(map[string]any) {
				if ref := "#/components/" + kind + "/" + key; kind != "securitySchemes" && !used[ref] {
					t.Errorf("%s: nothing refers to %s", name, ref)
				}
			}
		}
	}
}

func TestOperations(t *testing.T) {
	for name, api := range described() {
		_, doc := generate(t, api)
		declared := map[string]bool{}
		for _, tag := range doc["tags"].([]any) {
			declared[tag.(map[string]any)["name"].(string)] = true
		}
		walk(doc, "", func(at string, node map[string]any) {
			if list, ok := node["type"].([]any); ok {
				t.Errorf("%s: %s lists types %v, which generators of clients do not take", name, at, list)
			}
		})
		seen := map[string]string{}
		for at, op := range operations(doc) {
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] != "" {
				t.Errorf("%s: %s has operationId %q, as has %q", name, at, id, seen[id])
			}
			seen[id] = at
			if op["summary"] == "" {
				t.Errorf("%s: %s has no summary", name, at)
			}
			for _, tag := range op["tags"].([]any) {
				if !declared[tag.(string)] {
					t.Errorf("%s: %s has tag %v, which is not declared", name, at, tag)
				}
			}
			for _, p := range parameters(op) {
				if _, ok := p["example"]; p["required"] == true && !ok {
					t.Errorf("%s: parameter %v of %s has no example", name, p["name"], at)
				}
			}
		}
	}
}

// TestStatuses lists, per operation of the full description, the answers that
// the contract names.
func TestStatuses(t *testing.T) {
	_, doc := generate(t, full())
	ops := operations(doc)
	for at, want := range map[string]string{ // besides those of any request
		"GET /":                  "200 503",
		"GET /user/{user_id}":    "200 304 308 404 412 422 502 503 504",
		"HEAD /user/{user_id}":   "200 304 308 404 412 422 502 503 504",
		"PUT /user/{user_id}":    "200 401 403 409 412 415 422 502 503 504",
		"DELETE /user/{user_id}": "204 401 403 404 409 412 422 502 503 504",
		"GET /user":              "200 422 502 503 504",
		"GET /item/{id}":         "200 304 404 412 422 502 503 504",
		"GET /day/{day}":         "200 304 412 422 502 503 504",
		"POST /batch_process":    "200 401 403 415 422 502 503 504",
		"GET /concurrent_test":   "200 503 504",
		"GET /healthz":           "200 503",
		"GET /docs":              "200 503",
		"GET /openapi.json":      "200 503",
	} {
		op, ok := ops[at]
		if !ok {
			t.Errorf("%s is not described", at)
			continue
		}
		var got []string
		for status := range op["responses"].(map[string]any) {
			got = append(got, status)
		}
		slices.Sort(got)
		all := append(strings.Fields(want), "400", "408", "413", "417", "431", "500", "505", "default")
		slices.Sort(all)
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", at, diff)
		}
		_, secured := op["security"]
		write := !strings.HasPrefix(at, "GET") && !strings.HasPrefix(at, "HEAD")
		if secured != write {
			t.Errorf("%s: needs a token = %v, want %v", at, secured, write)
		}
	}
	if _, open := generate(t, demo()); strings.Contains(mustJSON(t, open), `"bearer"`) {
		t.Error("a server without tokens asks for one")
	}
}

// TestSchemaNames keeps schemas apart from what generators of clients give the same
// name to, and from each other.
func TestSchemaNames(t *testing.T) {
	api := openapi.API{Title: "Hearth", Version: "0"}
	for i, name := range []string{"client", "not_found", "opt_string", "problem", "user", "user_answer"} {
		api.Resources = append(api.Resources, openapi.Resource{
			Name: name, Path: path("/r" + string(rune('a'+i)) + "/{id:int}"), Envelope: "data", HasSource: true,
		})
	}
	_, doc := generate(t, api)
	var got []string
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		got = append(got, name)
	}
	slices.Sort(got)
	want := strings.Fields("ClientAnswer ClientRecord NotFoundAnswer NotFoundRecord OptStringAnswerRecord OptStringRecord Problem ProblemAnswer ProblemRecord " +
		"User UserAnswer UserAnswer2 UserAnswerAnswer")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestExactAnswers pins the shapes of the bodies that a client can rely on.
func TestExactAnswers(t *testing.T) {
	_, doc := generate(t, full())
	ops := operations(doc)
	for _, c := range []struct {
		at, status string
		want       []string // exact bodies, sorted
	}{
		{"GET /", "200", []string{`{"Hello":"World"}`}},
		{"GET /user/{user_id}", "200", []string{
			`{"source":"cache","user":{"city":"北京","id":1,"name":"张三"}}`,
			`{"source":"db","user":{"city":"北京","id":1,"name":"张三"}}`,
		}},
		{"GET /user", "200", []string{
			`[{"source":"cache","user":{"city":"北京","id":1,"name":"张三"}},{"source":"cache","user":null}]`,
			`[{"source":"db","user":{"city":"北京","id":1,"name":"张三"}},{"source":"db","user":null}]`,
		}},
		{"PUT /user/{user_id}", "200", []string{`{"source":"db","user":{"city":"北京","id":1,"name":"张三"}}`}},
		{"GET /item/{id}", "200", []string{`{"item":{"id":1,"name":"lamp","price":12.5},"source":"cache"}`}},
		{"GET /order/{order_id}/line/{line}", "200", []string{
			`{"address":{"city":null},"line":9007199254740993,"price":3,"sku":"a<b>&c","tags":["x"]}`,
		}},
		{"PUT /order/{order_id}/line/{line}", "200", nil}, // the body differs from the example, so the answer is unknown
		{"GET /day", "200", []string{
			`[{"orders":[{"open":true,"order":1},{"open":false,"order":2}],"source":"cache"},{"orders":[],"source":"cache"}]`,
			`[{"orders":[{"open":true,"order":1},{"open":false,"order":2}],"source":"db"},{"orders":[],"source":"db"}]`,
		}},
		{"GET /problem/{id}", "200", nil}, // no record known
		{"POST /batch_process", "200", []string{`{"count":2,"status":"success"}`}},
		{"POST /more", "200", []string{`{"count":1,"status":"success"}`}},
		{"GET /concurrent_test", "200", nil}, // whoever else counts, counts too
		{"GET /healthz", "200", []string{`{"status":"ok"}`}},
	} {
		var got []string
		for _, e := range examples(ops[c.at], c.status) {
			if e["x-hearth-exact"] == true {
				got = append(got, mustJSON(t, e["value"]))
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.at, diff)
		}
	}
}

func TestContradictions(t *testing.T) {
	user := demo().Resources[0]
	f := func(change func(*openapi.API), want string) {
		t.Helper()
		api := demo()
		change(&api)
		_, err := openapi.Document(api)
		if err == nil || err.Error() != want {
			t.Errorf("got error %v\nwant      %s", err, want)
		}
	}
	resource := func(change func(*openapi.Resource)) func(*openapi.API) {
		return func(api *openapi.API) { change(&api.Resources[0]) }
	}
	f(func(api *openapi.API) { api.Resources = append(api.Resources, user) },
		`describing resource "user": path "/user/{user_id}" has more than one GET`)
	f(resource(func(r *openapi.Resource) { r.Path = path("/item/{user_id:int}") }),
		`describing resource "item": path "/item/{id}" is the same as "/item/{user_id}" but for the names of its parameters`)
	f(resource(func(r *openapi.Resource) { r.Path.Segments[1].Type = "float" }),
		`describing resource "user": parameter type "float" is none of int, string, uuid`)
	f(resource(func(r *openapi.Resource) { r.Path = path("/user/{user_id:int}/of/{day:string}") }),
		`describing resource "user": reading many drops the last segment of its path "/user/{user_id}/of/{day}", which must be its only parameter and not its only segment`)
	f(resource(func(r *openapi.Resource) { r.ExampleArgs = []string{"one"} }),
		`describing resource "user": its example "one" of parameter "user_id" is no int64`)
	f(resource(func(r *openapi.Resource) { r.MissingArgs = []string{"two"} }),
		`describing resource "user": its example "two" of parameter "user_id" is no int64`)
	f(resource(func(r *openapi.Resource) { r.Example = json.RawMessage(`{"id":`) }),
		`describing resource "user": its example is not JSON: "{\"id\":"`)
	f(resource(func(r *openapi.Resource) { r.PutExample = json.RawMessage(`{`) }),
		`describing resource "user": its example of a PUT is not JSON: "{"`)
	f(resource(func(r *openapi.Resource) { r.Path = path("/{user_id:int}") }),
		`describing resource "user": reading many drops the last segment of its path "/{user_id}", which must be its only parameter and not its only segment`)
	f(func(api *openapi.API) { api.Batches[0].Example = json.RawMessage(`{}`) },
		`describing batch "/batch_process": its example is no JSON array: json: cannot unmarshal object into Go value of type []json.RawMessage`)
	f(func(api *openapi.API) { api.Counters[0].Path = "/healthz" },
		`describing the server's own paths: path "/healthz" has more than one GET`)
}

// walk visits every object of a document with its JSON pointer.
func walk(node any, at string, visit func(at string, node map[string]any)) {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	switch node := node.(type) {
	case map[string]any:
		visit(at, node)
		for key, value := range node {
			walk(value, at+"/"+escape.Replace(key), visit)
		}
	case []any:
		for i, value := range node {
			b, _ := json.Marshal(i)
			walk(value, at+"/"+string(b), visit)
		}
	}
}

// operations lists a document's operations by "METHOD path".
func operations(doc map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			out[strings.ToUpper(method)+" "+path] = op.(map[string]any)
		}
	}
	return out
}

func parameters(op map[string]any) []map[string]any {
	var out []map[string]any
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		out = append(out, p.(map[string]any))
	}
	return out
}

// examples lists the examples of a JSON answer.
func examples(op map[string]any, status string) []map[string]any {
	var out []map[string]any
	var node any = op
	for _, key := range []string{"responses", status, "content", "application/json", "examples"} {
		m, _ := node.(map[string]any)
		node = m[key]
	}
	m, _ := node.(map[string]any)
	for _, e := range m {
		out = append(out, e.(map[string]any))
	}
	return out
}

func mustJSON(tb testing.TB, value any) string {
	tb.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

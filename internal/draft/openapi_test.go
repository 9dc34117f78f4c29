package draft_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hearth/internal/draft"
)

// documentOf is an OpenAPI document of one path.
func documentOf(path, item string) string {
	return `{"openapi": "3.1.0", "servers": [{"url": "/v1/"}], "paths": {"` + path + `": ` + item + `},
		"components": {
			"parameters": {"Id": {"name": "id", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/Key"}},
				"Loop": {"$ref": "#/components/parameters/Loop"}},
			"schemas": {"Key": {"type": "integer"}},
			"responses": {"Text": {"content": {"text/plain": {}}}, "Record": {"content": {"application/json": {}}}},
			"pathItems": {"User": {"get": {"parameters": [{"$ref": "#/components/parameters/Id"}]}}, "a/b": {"get": {}}}}}`
}

var originLine = regexp.MustCompile(`(?m)^origin = "http://api.example(.*)"$`)

// draftOf is the path and the origin of what is drafted for a document, or why nothing is.
func draftOf(text string) string {
	d, err := draft.OpenAPI([]byte(text), &url.URL{Scheme: "http", Host: "api.example", Path: "/openapi.json"}, draft.Options{})
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s", d.Resources[0].Path, originLine.FindSubmatch(d.Text)[1])
}

// TestPathsOfADocument: parameters, answers and servers are found wherever a document may have them.
func TestPathsOfADocument(t *testing.T) {
	t.Parallel()
	of := func(schema string) string {
		return `{"get": {"parameters": [{"name": "id", "in": "path", "schema": ` + schema + `}]}}`
	}
	for _, c := range []struct{ path, item, want string }{
		{"/u/{id}", of(`{"type": "integer"}`), "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", of(`{"type": ["integer", "null"]}`), "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", of(`{"type": ["integer", "string"]}`), "/u/{id:string} /v1/u/{id}"},
		{"/u/{id}", of(`{"allOf": [{"$ref": "#/components/schemas/Key"}]}`), "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", of(`{"type": "string", "format": "uuid"}`), "/u/{id:uuid} /v1/u/{id}"},
		{"/u/{id}", of(`{"$ref": "#/components/schemas/None"}`), "/u/{id:string} /v1/u/{id}"},
		{"/u/{id}", `{"get": {"parameters": [{"name": "id", "in": "path", "content": {"application/json": {"schema": {"type": "integer"}}}}]}}`, "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", `{"parameters": [{"$ref": "#/components/parameters/Id"}], "get": {}}`, "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", `{"$ref": "#/components/pathItems/User"}`, "/u/{id:int} /v1/u/{id}"},
		{"/u/{id}", `{"$ref": "#/components/pathItems/a~1b"}`, "/u/{id:string} /v1/u/{id}"},
		{"/u/{id}", `{"$ref": "other.json#/x"}`, "cannot be read here"},
		{"/u/{id}", `{"parameters": [{"$ref": "#/components/parameters/Loop"}], "get": {}}`, "has a parameter that cannot be read here"},
		{"/u/{user-id}/x/{user_id}", `{"get": {}}`, "/u/{user_id:string}/x/{key_2:string} /v1/u/{user_id}/x/{key_2}"},
		{"/u/{id}.json", `{"get": {}}`, "mixes text and parameters"},
		{"u/{id}", `{"get": {}}`, "does not begin with a slash"},
		{"/u/{id}", `{"get": {"parameters": [{"name": "X-Tenant", "in": "header", "required": true}]}}`, `needs the header "X-Tenant"`},
		{"/u/{id}", `{"get": {"parameters": [{"name": "Accept", "in": "header", "required": true}]}}`, "/u/{id:string} /v1/u/{id}"},
		{"/u/{id}", `{"get": {"parameters": [{"name": "s", "in": "cookie", "required": true}]}}`, `needs the cookie "s"`},
		{"/u/{id}", `{"get": {"parameters": [{"name": "id", "in": "path", "style": "matrix"}]}}`, `in the style "matrix"`},
		{"/u/{id}", `{"get": {"responses": {"200": {"$ref": "#/components/responses/Text"}}}}`, "does not answer with JSON"},
		{"/u/{id}", `{"get": {"responses": {"200": {"$ref": "#/components/responses/Record"}}}}`, "/u/{id:string} /v1/u/{id}"},
		{"/u/{id}", `{"get": {"responses": {"204": {}}}}`, "does not answer with JSON"},
		{"/u/{id}", `{"get": {"responses": {"302": {}}}}`, "does not answer with JSON"},
		{"/u/{id}", `{"get": {"responses": {"200": {"content": {"text/html": {}}}, "default": {"content": {"application/problem+json": {}}}}}}`, "does not answer with JSON"},
		{"/u/{id}", `{"servers": [{"url": "/v8"}], "get": {}}`, "/u/{id:string} /v8/u/{id}"},
		{"/u/{id}", `{"servers": [{"url": "/v8"}], "get": {"servers": [{"url": "/{v}", "variables": {"v": {"default": "v9"}}}]}}`, "/u/{id:string} /v9/u/{id}"},
		{"/u/{id}", `{"head": {}, "delete": {}}`, "has no GET of a path with a parameter"},
	} {
		if got := draftOf(documentOf(c.path, c.item)); !strings.Contains(got, c.want) {
			t.Errorf("%s with %s is drafted as\n%s\nwant\n%s", c.path, c.item, got, c.want)
		}
	}
}

// TestDocumentsThatAreNone: the error says what the text is instead.
func TestDocumentsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"openapi: 3.0.0\npaths: {}":             "a YAML document has to be converted first",
		`{"openapi": "3.0.0", "paths": {`:       "it is broken JSON (unexpected end of JSON input)",
		"":                                      "it is broken JSON (unexpected end of JSON input)",
		"[1]":                                   "it is no JSON object",
		"null":                                  `it has no member "openapi"`,
		`{"openapi": "3.0.0", "paths": []}`:     `its member "paths" is of another type (array)`,
		`{"openapi": 3.0, "paths": {"/a": {}}}`: "has no GET of a path with a parameter",
		`{"swagger": "2.0", "produces": ["text/xml"], "paths": {"/u/{id}": {"get": {}}}}`: "does not answer with JSON",
	} {
		if got := draftOf(text); !strings.Contains(got, says) {
			t.Errorf("%q is answered with %q, without %q", text, got, says)
		}
	}
}

// TestADocumentOfManyPaths: what there is no room for is said once.
func TestADocumentOfManyPaths(t *testing.T) {
	t.Parallel()
	var paths []string
	for i := range draft.MaxResources + 50 {
		paths = append(paths, fmt.Sprintf(`"/r%d/{id}": {"get": {}}`, i))
	}
	d, err := draft.OpenAPI([]byte(`{"openapi": "3.0.0", "servers": [{"url": "http://api.example"}], "paths": {`+strings.Join(paths, ",")+`}}`), nil, draft.Options{})
	if err != nil || len(d.Resources) != draft.MaxResources || len(d.Left) != 1 || !strings.Contains(d.Left[0], "and 49 others") {
		t.Errorf("%d resources are drafted, and %q is left out (%v)", len(d.Resources), d.Left, err)
	}
}

// TestURLsOfNoDocument: whoever names a record as it is, or a service without a document, is told
// what to write, and no password is repeated.
func TestURLsOfNoDocument(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/users/1", "/users/a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11":
			_, _ = w.Write([]byte(`{"id": 1}`))
		case "/users":
			_, _ = w.Write([]byte(`[1]`))
		case "/page":
			_, _ = w.Write([]byte(`<html>`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(service.Close)
	for from, says := range map[string]string{
		"/users/1?x=1": "is answered with an object, and is no OpenAPI document; say which part of the path names a record: -from 'http://HOST/users/{id:int}'",
		"/users/a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11": "-from 'http://HOST/users/{id:uuid}'",
		"/users":        "is answered with a list, and is no OpenAPI document; say which part of the path names a record: -from 'http://HOST/users/{id:int}'",
		"/page":         "-from 'http://HOST/page/{id:int}'",
		"/nothing/7/":   "answers 404 Not Found; without one, name a record by its URL: -from 'http://HOST/nothing/{id:int}'",
		"/a/{user-id}":  "has a parameter that is not understood; write {name}",
		"/a/{id}#there": "has a fragment, which is never sent",
		"/ä/{id}":       "percent-encode them",
	} {
		_, err := draft.New(t.Context(), draft.Options{From: strings.Replace(service.URL, "//", "//ann:hush@", 1) + from}, t.TempDir())
		if strings.Contains(from, "{") {
			_, err = draft.New(t.Context(), draft.Options{From: service.URL + from}, t.TempDir())
		}
		host := strings.TrimPrefix(service.URL, "http://")
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), host, "HOST"), says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("-from %s is answered with %v, without %q", from, err, says)
		}
	}
}

// TestURLsThatHidePasswords: a URL that does not parse may have a password in a place where nobody
// looks for one, and is written nowhere.
func TestURLsThatHidePasswords(t *testing.T) {
	t.Parallel()
	for from, says := range map[string]string{
		"postgres://ann:hu#sh@db.internal/shop": `the URL of -from does not parse; write it as "postgres://user:password@host:5432/name"`,
		"postgres://ann:hu?sh@db.internal/shop": "special characters of the password percent-encoded",
		"mysql://ann:hu#sh@db.internal/shop":    `"mysql://user:password@host:3306/name"`,
		"mysql:ann:hush@tcp(db.internal)/shop":  "does not parse",
		"mariadb://ann:hush@db.internal/shop":   `"mariadb://" in -from is no scheme that is known; it names a database (postgres://…, mysql://… for MariaDB, too`,
		"sqlite:":                               "names no file",
	} {
		_, err := draft.New(t.Context(), draft.Options{From: from}, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hu") {
			t.Errorf("-from %s is answered with %v, without %q", from, err, says)
		}
	}
}

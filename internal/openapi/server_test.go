package openapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"hearth/internal/openapi"
)

// dashboard is where the pages of these tests say that operators are served.
const dashboard = "http://127.0.0.1:9090/"

// server serves the page, a document and a few of the operations it describes.
func server(tb testing.TB, api openapi.API) *httptest.Server {
	tb.Helper()
	doc, err := openapi.Document(api)
	if err != nil {
		tb.Fatal(err)
	}
	answer := func(w http.ResponseWriter, kind, body string) {
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", openapi.ContentSecurityPolicy())
		answer(w, "text/html; charset=utf-8", string(openapi.DocsPage(openapi.Page{Title: api.Title, Document: doc, Dashboard: dashboard})))
	})
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, "application/json", string(doc)) })
	mux.HandleFunc("GET /user/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Status", "Hearth-Memory; hit; ttl=41")
		w.Header().Set("ETag", `W/"5f1d"`)
		w.Header().Set("Cache-Control", "no-cache")
		answer(w, "application/json", `{"user":{"id":9007199254740993,"name":"<b>张三</b>","city":"北京"},"source":"cache"}`)
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		answer(w, "application/json", fmt.Sprintf(`%q`, r.URL.RawQuery))
	})
	mux.HandleFunc("PUT /user/{id}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(w, "application/json", fmt.Sprintf(`{"uri":%q,"condition":%q,"token":%q,"type":%q,"body":%s}`, r.RequestURI, r.Header.Get("If-Match"), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body))
	})
	mux.HandleFunc("POST /batch_process", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer(w, "application/json", fmt.Sprintf(`{"type":%q,"body":%q}`, r.Header.Get("Content-Type"), body))
	})
	s := httptest.NewServer(mux)
	tb.Cleanup(s.Close)
	return s
}

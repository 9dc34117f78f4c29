package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// document is as much of OpenAPI as playing its examples needs.
type document struct {
	Paths map[string]map[string]documentOperation `json:"paths"`
}

type documentOperation struct {
	OperationID string              `json:"operationId"`
	Parameters  []documentParameter `json:"parameters"`
	RequestBody documentBody        `json:"requestBody"`
	Responses   map[string]struct {
		Content map[string]documentMedia `json:"content"`
	} `json:"responses"`
}

type documentParameter struct {
	Name    string          `json:"name"`
	In      string          `json:"in"`
	Example json.RawMessage `json:"example"`
}

type documentBody struct {
	Content map[string]documentMedia `json:"content"`
}

type documentMedia struct {
	Examples map[string]struct {
		Value json.RawMessage `json:"value"`
		Exact bool            `json:"x-hearth-exact"`
	} `json:"examples"`
}

// playCommand sends every request that the served OpenAPI document gives as an
// example, twice, and compares the second answer with the examples of answers
// that claim to be exact: play N, where N is how many answers have to be
// compared at least.
func playCommand(ts *testscript.TestScript, neg bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ask := func(r httpRequest) (status, body string) {
		r.network, r.addr = "unix", ts.MkAbs("public.sock")
		out, err := r.do(ctx)
		ts.Check(err)
		head, body, _ := strings.Cut(out, "\n\n")
		status, _, _ = strings.Cut(strings.TrimPrefix(head, "HTTP "), "\n")
		return status, strings.TrimSuffix(body, "\n")
	}
	_, text := ask(httpRequest{method: "GET", target: "/openapi.json", header: http.Header{}})
	var doc document
	ts.Check(json.Unmarshal([]byte(text), &doc))
	compared := 0
	for _, ex := range requests(doc) {
		ask(ex.httpRequest)
		status, body := ask(ex.httpRequest)
		answer, documented := ex.op.Responses[status]
		if !documented {
			ts.Fatalf("%s: %s %s answered %s, which is not documented: %s", ex.op.OperationID, ex.method, ex.target, status, body)
		}
		var claimed []string
		for _, media := range answer.Content {
			for _, e := range media.Examples {
				if e.Exact {
					claimed = append(claimed, compact(e.Value))
				}
			}
		}
		if len(claimed) == 0 || ex.method == "HEAD" {
			continue
		}
		if !slices.Contains(claimed, body) {
			ts.Fatalf("%s: %s %s answered\n%s\nwhere the document promises one of\n%s", ex.op.OperationID, ex.method, ex.target, body, strings.Join(claimed, "\n"))
		}
		compared++
	}
	fmt.Fprintf(ts.Stdout(), "%d answers compared\n", compared)
	if want := args[0]; fmt.Sprint(compared) != want {
		ts.Fatalf("%d answers were compared, want %s", compared, want)
	}
}

// example is a request out of the document.
type example struct {
	httpRequest
	op documentOperation
}

// requests lists one request per operation and kind of body: batches first,
// for others read what they store, deletions last.
func requests(doc document) []example {
	var all []example
	for path, operations := range doc.Paths {
		for method, op := range operations {
			ex := example{httpRequest{method: strings.ToUpper(method), header: http.Header{}}, op}
			ex.target = target(path, op.Parameters)
			if len(op.RequestBody.Content) == 0 {
				all = append(all, ex)
			}
			for kind, media := range op.RequestBody.Content {
				for _, e := range media.Examples {
					with := ex
					with.header = http.Header{"Content-Type": {kind}}
					with.body = compact(e.Value)
					if kind != "application/json" {
						_ = json.Unmarshal(e.Value, &with.body) // NDJSON stands in a string
					}
					all = append(all, with)
				}
			}
		}
	}
	order := map[string]int{"POST": 1, "GET": 2, "HEAD": 3, "PUT": 4, "DELETE": 5}
	slices.SortFunc(all, func(a, b example) int {
		return cmp.Or(cmp.Compare(order[a.method], order[b.method]), cmp.Compare(a.target, b.target))
	})
	return all
}

func target(path string, parameters []documentParameter) string {
	query := url.Values{}
	for _, p := range parameters {
		var list []json.RawMessage
		if json.Unmarshal(p.Example, &list) != nil {
			list = []json.RawMessage{p.Example}
		}
		for _, v := range list {
			text := strings.Trim(string(v), `"`)
			switch {
			case len(v) == 0: // nothing to try by default
			case p.In == "path":
				path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(text))
			case p.In == "query":
				query.Add(p.Name, text)
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

func compact(value []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return string(value)
	}
	return b.String()
}

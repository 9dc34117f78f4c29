package openapi

import (
	"strings"
)

// Media types of requests and answers.
const (
	typeJSON    = "application/json"
	typeNDJSON  = "application/x-ndjson"
	typeProblem = "application/problem+json"
)

// noStore stands for the header Cache-Control where its value is always no-store.
const noStore = "No-Store"

// headers refers to shared headers by the names under which they are sent. The
// component is the name without its hyphens, which no identifier may have.
func headers(names ...string) object {
	var out object
	for _, name := range names {
		component := strings.ReplaceAll(name, "-", "")
		if name == noStore {
			name = "Cache-Control"
		}
		out = append(out, member{name, ref("headers", component)})
	}
	return out
}

// answer is a success with a body of JSON. The schema may be a reference; the
// examples may be none.
func answer(description string, headers object, schema any, examples object) response {
	return response{description, headers, object{{typeJSON, mediaType{schema, examples}}}}
}

// refusal is an error answer that several operations share, as a component of the
// document. The name is that of the component, and becomes a type in generated
// clients.
type refusal struct {
	Status      string
	Name        string
	Description string
	Headers     []string // besides Cache-Control: no-store

	// Anywhere marks the refusals of any request, whatever it asks for. 503 is none
	// of them because the health check has a 503 of its own.
	Anywhere bool
}

// response is the answer itself: a problem document.
func (r refusal) response() response {
	return response{r.Description, headers(append([]string{noStore}, r.Headers...)...),
		object{{typeProblem, mediaType{Schema: ref("schemas", "Problem")}}}}
}

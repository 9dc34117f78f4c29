package openapi

import (
	"fmt"
	"strings"
)

// names hands out each name once. Who comes first keeps the plain name, so adding
// a resource at the end of a configuration renames no other.
type names map[string]bool

// take returns name, or name with the first free number behind it.
func (n names) take(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s%d", name, i)
	}
	n[free] = true
	return free
}

// pascal turns any text into a name that OpenAPI and code generators accept:
// "order_line" and "/order/line" become OrderLine.
func pascal(text string) string {
	var b strings.Builder
	upper := true
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z':
			if upper {
				r -= 'a' - 'A'
			}
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		default:
			upper = true
			continue
		}
		upper = false
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "Unnamed"
	}
	return b.String()
}

// taken are names that oapi-codegen and ogen give to types of their own. A schema of
// such a name makes a client that does not compile; a test builds both.
var taken = []string{
	"Bearer", "Client", "ClientInterface", "ClientOption", "ClientWithResponses", "ClientWithResponsesInterface", "ErrorHandler", "Handler",
	"HttpRequestDoer", "Invoker", "Labeler", "LabelerFromContext", "Middleware", "OperationName", "Option", "Problem", "RequestEditorFn", "Route",
	"SecurityHandler", "SecuritySource", "Server", "ServerOption", "UnimplementedHandler",
}

package openapi

import (
	"encoding/json"
	"time"

	"hearth/internal/param"
)

// API describes a server: all that its document tells. It is plain data: the
// caller decides what the configuration means, and this package only how that is
// written down.
type API struct {
	Title       string // required by OpenAPI, so never empty
	Version     string // of the API's description; the program's version will do
	Description string // plain text; `backquotes` mark code

	Resources []Resource
	Counters  []Counter
	Batches   []Batch

	// TokensRequired says that writes need a bearer token of scope write.
	TokensRequired bool

	// Directives says that reads may ask for freshness by Cache-Control; DirectivesNeedToken,
	// that it counts with a bearer token of scope fresh alone.
	Directives, DirectivesNeedToken bool

	MaxMany  int // ids of one many-read
	MaxItems int // items of one batch
	MaxBody  int // bytes of one request body
}

// Resource is one kind of record, which can be read, and what else can be done
// with it.
type Resource struct {
	Name     string
	Path     param.Path
	Envelope string // the member that holds the data; "" answers the bare data
	Many     bool   // the data is an array of rows, empty rather than missing

	CanPut    bool
	CanDelete bool
	ManyRead  bool // GET on the path without its last segment; one parameter only
	HasSource bool // a database or an HTTP origin stands behind it
	Forwarded bool // writes go on to an HTTP origin, which has rules of its own for bodies
	Renames   bool // a row may be found by another spelling of its key: reads are redirected

	// Example is a real record that anybody may see, since the document publishes
	// it, and ExampleArgs the text of the parameters that find it, in the order of
	// Params. The schema of the data is derived from Example, as loosely as one
	// example demands. With either missing the document still offers values to try
	// but claims no answer.
	Example     json.RawMessage
	ExampleArgs []string

	// MissingArgs are parameters that find nothing. Where given, the example
	// of the many-read asks for them too, to show what a gap looks like.
	MissingArgs []string

	// PutExample is a body that PUT takes at ExampleArgs, PutMembers what the
	// statement reads from a body (none: it takes the body whole).
	PutExample json.RawMessage
	PutMembers []Member

	// PutIgnored are members that PUT lets through and does not store. PutClosed
	// tells that it refuses all others.
	PutIgnored []string
	PutClosed  bool
}

// Member is a member of a PUT's body; dots in Name descend ("address.city").
type Member struct {
	Name     string
	Required bool
}

// Counter is a path whose every GET counts: reading it again is not harmless, which
// its description says.
type Counter struct{ Path string }

// Batch is a path that takes many items of one resource at once.
type Batch struct {
	Path     string
	Resource string        // the name of a Resource, described or not
	TTL      time.Duration // how long an item lives; 0: until it is removed

	// Example is an array of items. Without one it is the resource's Example.
	Example json.RawMessage
}

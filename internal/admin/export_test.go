package admin

import (
	"time"

	"hearth/internal/auth"
)

// Row is one row of the route table.
type Row struct {
	Method, Path string
	Scope        auth.Scope
	Page         bool
}

// Rows is the route table as tests walk it.
func Rows(a *Admin) []Row {
	var rows []Row
	for _, r := range a.table() {
		rows = append(rows, Row{r.method, r.path, r.scope, r.page})
	}
	return rows
}

// ReadTargets opens the reader of invalidations to tests; status is 0 when the
// body can be used.
func ReadTargets(body []byte, most int) (all Targets, status int) {
	all, fault := readTargets(body, most)
	if fault != nil {
		return Targets{}, fault.status
	}
	return all, 0
}

// SetSilence is how long a stream waits for a tick before it writes a comment. Nobody may
// follow yet.
func SetSilence(a *Admin, d time.Duration) { a.silence = d }

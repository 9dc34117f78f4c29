package outbox

import (
	"context"
	"errors"

	"hearth/internal/source/engine"
)

// postgres is the dialect of its database.
type postgres struct{}

var errNotPostgres = errors.New("the outbox is not there for this database yet")

func (postgres) Tables() []string      { return nil }
func (postgres) Remove([]Set) []string { return nil }
func (postgres) Without(Set) []string  { return nil }
func (postgres) Texts() texts          { return texts{} }
func (postgres) Triggers(context.Context, engine.Engine, Set, Options) ([]string, []string, error) {
	return nil, nil, errNotPostgres
}
func (postgres) Canonical(_ context.Context, _ engine.Engine, table string) (string, error) {
	return table, errNotPostgres
}
func (postgres) Faults(context.Context, engine.Engine, []Set) ([]Fault, error) {
	return nil, errNotPostgres
}
func (postgres) Moved(context.Context, engine.Engine) (bool, error) { return true, nil }

func (postgres) Keep([]int64) []engine.Query { return nil }

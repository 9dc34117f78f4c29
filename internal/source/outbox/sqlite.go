package outbox

import (
	"context"
	"errors"

	"hearth/internal/source/engine"
)

// sqlite is the dialect of its database.
type sqlite struct{}

var errNotSqlite = errors.New("the outbox is not there for this database yet")

func (sqlite) Tables() []string      { return nil }
func (sqlite) Remove([]Set) []string { return nil }
func (sqlite) Without(Set) []string  { return nil }
func (sqlite) Texts() texts          { return texts{} }
func (sqlite) Triggers(context.Context, engine.Engine, Set, Options) ([]string, []string, error) {
	return nil, nil, errNotSqlite
}
func (sqlite) Canonical(_ context.Context, _ engine.Engine, table string) (string, error) {
	return table, errNotSqlite
}
func (sqlite) Faults(context.Context, engine.Engine, []Set) ([]Fault, error) {
	return nil, errNotSqlite
}
func (sqlite) Moved(context.Context, engine.Engine) (bool, error) { return true, nil }

func (sqlite) Keep([]int64) []engine.Query { return nil }

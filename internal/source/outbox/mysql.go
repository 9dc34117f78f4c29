package outbox

import (
	"context"
	"errors"

	"hearth/internal/source/engine"
)

// mysql is the dialect of its database.
type mysql struct{}

var errNotMysql = errors.New("the outbox is not there for this database yet")

func (mysql) Tables() []string      { return nil }
func (mysql) Remove([]Set) []string { return nil }
func (mysql) Without(Set) []string  { return nil }
func (mysql) Texts() texts          { return texts{} }
func (mysql) Triggers(context.Context, engine.Engine, Set, Options) ([]string, []string, error) {
	return nil, nil, errNotMysql
}
func (mysql) Canonical(_ context.Context, _ engine.Engine, table string) (string, error) {
	return table, errNotMysql
}
func (mysql) Faults(context.Context, engine.Engine, []Set) ([]Fault, error) { return nil, errNotMysql }
func (mysql) Moved(context.Context, engine.Engine) (bool, error)            { return true, nil }

func (mysql) Keep([]int64) []engine.Query { return nil }

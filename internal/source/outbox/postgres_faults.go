package outbox

import (
	"context"

	"hearth/internal/source/engine"
)

// Faults implements dialect.
func (postgres) Faults(context.Context, engine.Engine, []Set) ([]Fault, error) { return nil, nil }

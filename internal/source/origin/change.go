package origin

import (
	"context"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// Put implements Records: an origin is never written to.
func (o *Origin) Put(context.Context, source.Args, jsonvalue.Node) (source.Change, error) {
	return nil, source.ErrReadOnly
}

// Delete implements Records: an origin is never written to.
func (o *Origin) Delete(context.Context, source.Args) (source.Change, error) {
	return nil, source.ErrReadOnly
}

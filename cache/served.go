package cache

import (
	"time"

	"hearth/cache/memory"
	"hearth/internal/source"
)

// Served is a resource that is served, with what it takes to go from a key in memory back to
// its record.
type Served struct {
	*Resource
	// Args are the parameters that make a key; ok is false for a key of no record. nil: nobody
	// can tell.
	Args func(key string) (args source.Args, ok bool)
	// Told tells up to when the change feed has told of all that was committed in the source,
	// by this process's clock; ok is false while it is not live. nil: nobody tells of changes.
	Told func() (upTo time.Time, ok bool)
}

// Serve says which resources are served from now on, in place of those before. What memory
// has of any other is answered to nobody.
func (c *Cache) Serve(all []Served) {
	byShape := make(map[*memory.Shape]*Served, len(all))
	for i := range all {
		byShape[all[i].Shape] = &all[i]
	}
	c.served.Store(&byShape)
}

// servedAs is the resource whose answers have a shape, nil if none has any more.
func (c *Cache) servedAs(s *memory.Shape) *Served {
	if all := c.served.Load(); all != nil {
		return (*all)[s]
	}
	return nil
}

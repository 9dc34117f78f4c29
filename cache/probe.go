package cache

import (
	"errors"
	"strconv"

	"hearth/cache/memory"
)

// probeResource owns the values that ProbeMemory puts into memory.
var probeResource = NewResource("", "", Lifetimes{}, nil)

const probePrefix = "hearth:pulse:"

// ProbeMemory puts a value of its own into memory, takes it out the way a request
// does, and removes it: proof for a watchdog that the tier is not stuck. Another
// key each time, so that sooner or later every lock is asked for. It touches
// neither the shared tier nor the source. If the tier is stuck, it hangs.
func (c *Cache) ProbeMemory() error {
	now := c.store.Now()
	key := probePrefix + strconv.FormatUint(c.probed.Add(1), 10)
	sh := c.flights.shard(key)
	sh.mu.Lock()
	kept := c.store.Keep(memory.NewEntry(probeResource.Shape, key, memory.Null, 0), c.local, c.local.Epoch(), now+int64(c.cfg.LinkTimeout), memory.Never)
	sh.mu.Unlock()
	e := c.store.Find(probeResource.Shape, []byte(key))
	sh.mu.Lock()
	c.store.Drop(key, nil)
	sh.mu.Unlock()
	switch {
	case !kept:
		return errors.New("the value is too large for memory.budget")
	case e == nil: // evicted between, by a memory that is full: it works
		return nil
	case string(e.Data()) != string(memory.Null):
		return errors.New("another value came out than was put in")
	case c.store.Find(probeResource.Shape, []byte(key)) != nil:
		return errors.New("the value was not removed")
	}
	return nil
}

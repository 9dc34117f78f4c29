package redis

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
)

// connection is one connection's client-side cache, as rueidis expects it, in front of
// memory. rueidis calls it in the order of the wire (Update, Delete) and from callers'
// goroutines (Flight, Cancel, Close). It makes one also for connections that never
// read anything, so the owner is registered with the first read. It never has a hit:
// the handlers look into memory before they ask rueidis.
type connection struct {
	node  *node
	of    *connections // which it is part of
	owner atomic.Pointer[memory.Owner]
	ended atomic.Bool
}

// Flight registers the read that is about to be sent. now was taken before,
// so it is the send time that everything else counts from.
func (c *connection) Flight(key, _ string, _ time.Duration, now time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	o := c.owner.Load()
	if o == nil {
		o = c.node.tier.store.NewOwner(false)
		if !c.owner.CompareAndSwap(nil, o) {
			o.End()
			o = c.owner.Load()
		}
		if c.ended.Load() { // Close may have come before the owner was there for it to end
			o.End()
		}
	}
	c.node.tier.reads.Bind(o, key, c.node.tier.store.At(now))
	return rueidis.RedisMessage{}, nil
}

// Update sees each reply to a tracked read. The return value is the expiry
// that rueidis notes on the message: Redis' own.
func (c *connection) Update(key, _ string, val rueidis.RedisMessage) int64 {
	if o := c.owner.Load(); o != nil {
		c.node.tier.reads.Arrived(o, key)
	}
	return max(val.CachePXAT(), 0)
}

// Cancel is called when a reader gave up or its transaction was refused; in
// the latter case Redis has answered, and nothing is left on the wire.
func (c *connection) Cancel(key, _ string, err error) {
	o := c.owner.Load()
	if o == nil {
		return
	}
	if errorReply(err) != "" {
		c.node.tier.reads.Refused(o, key)
	} else {
		c.node.tier.reads.Abandoned(o, key)
	}
}

// Delete applies an invalidation; nil means that everything was flushed.
func (c *connection) Delete(keys []rueidis.RedisMessage) {
	o := c.owner.Load()
	if o == nil {
		return
	}
	if keys == nil {
		c.node.tier.reads.Flushed(o)
		return
	}
	for i := range keys {
		key, err := keys[i].ToString()
		if err != nil || losesPush(key) {
			continue
		}
		if c.node.tier.reads.Invalidated(o, key) {
			c.node.tier.told.note(key)
		}
		if strings.HasPrefix(key, canaryPrefix) {
			o.Prove(c.node.tier.store.Now())
		}
	}
}

// Close ends the connection; it may come twice, or never. A connection that breaks is
// dialled anew at once, although nobody may be reading.
func (c *connection) Close(err error) {
	first := !c.ended.Swap(true)
	if o := c.owner.Load(); o != nil {
		c.node.tier.reads.Closed(o)
	}
	if first && err != nil {
		c.node.broke(c.of, err)
	}
}

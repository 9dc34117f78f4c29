package cache

import (
	"sync/atomic"
	"time"
)

// logLimit lets one line into the log in each interval, of those that every
// request could cause.
type logLimit struct{ last atomic.Int64 }

const logEvery = int64(10 * time.Second)

func (n *logLimit) allow(now int64) bool {
	last := n.last.Load()
	return (last == 0 || now-last >= logEvery) && n.last.CompareAndSwap(last, max(now, 1))
}

package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// perSecond lets at most limit events pass in each second.
type perSecond struct {
	limit  atomic.Int64
	second atomic.Int64
	count  atomic.Int64
}

// allow tells whether one more event may pass at clock time now. Two callers that
// meet at the edge of a second may let a few more pass than limit.
func (p *perSecond) allow(now int64) bool {
	second := now / int64(time.Second)
	if was := p.second.Load(); was != second && p.second.CompareAndSwap(was, second) {
		p.count.Store(0)
	}
	return p.count.Add(1) <= p.limit.Load()
}

// logLimit lets one line into the log in each interval, of those that every
// request could cause.
type logLimit struct{ last atomic.Int64 }

const logEvery = int64(10 * time.Second)

func (n *logLimit) allow(now int64) bool {
	last := n.last.Load()
	return (last == 0 || now-last >= logEvery) && n.last.CompareAndSwap(last, max(now, 1))
}

// burst lets some lines into the log in each interval, and counts the others.
type burst struct {
	mu      sync.Mutex
	began   int64 // clock time of the interval
	lines   int
	omitted int64 // since a line was let in
}

const burstLines = 10

// allow tells whether a line may go into the log at clock time now, and how many before it
// could not.
func (b *burst) allow(now int64) (omitted int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == 0 || now-b.began >= logEvery {
		b.began, b.lines = now, 0
	}
	if b.lines == burstLines {
		b.omitted++
		return 0, false
	}
	b.lines++
	omitted, b.omitted = b.omitted, 0
	return omitted, true
}

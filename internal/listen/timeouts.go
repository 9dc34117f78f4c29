package listen

import "time"

// checkEvery is how often connections are held against their timeouts.
const checkEvery = 250 * time.Millisecond

// Open starts the goroutine that keeps the timeouts, until Close.
func (l *Listener) Open() {
	l.opened.Store(true)
	l.running.Go(l.keepTimeouts)
}

func (l *Listener) keepTimeouts() {
	last := time.Now()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
			now := time.Now()
			l.enforceTimeouts(now.Sub(last))
			last = now
		}
	}
}

// enforceTimeouts ends what peers have delayed too long. A connection that does
// not get its request reads nothing more, and fasthttp answers 408 as it does to
// a deadline. The peer may not read the 408, nor the answers to pipelined
// requests that go out before it, so the connection is given the time of one
// answer. An idle connection is asked to close, as CloseIdle does.
//
// The clock advances by elapsed, the time since the last check, but by two
// intervals at most: while this process stood still (SIGSTOP, a paused machine)
// no peer was late, and what has just been accepted carries the time from before.
func (l *Listener) enforceTimeouts(elapsed time.Duration) {
	now := l.now.Add(min(elapsed, 2*checkEvery).Milliseconds())
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		if phase == phaseIdle && now-state>>phaseBits >= checkEvery.Milliseconds() {
			c.lookLocked()
		}
		limit, next := l.timeoutLocked(phase)
		if limit == 0 || now-state>>phaseBits < limit.Milliseconds() {
			continue
		}
		if phase == phaseIdle {
			c.requestCloseLocked()
			continue
		}
		// A connection that moves on in this moment is in time.
		if c.state.CompareAndSwap(state, now<<phaseBits|next) {
			c.timeOut(next)
		}
	}
}

// timeoutLocked is how long a connection may be in a phase, 0 for ever, and the
// phase that comes after. The caller holds mu.
func (l *Listener) timeoutLocked(phase int64) (limit time.Duration, next int64) {
	switch phase {
	case phaseNew, phaseReading:
		return l.timeouts.Read, phaseTimedOut
	case phaseIdle:
		return l.timeouts.Idle, phaseIdle
	case phaseWriting, phaseTimedOut:
		return l.timeouts.Write, phaseAborted
	}
	return 0, 0
}

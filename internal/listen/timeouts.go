package listen

import "time"

// checkEvery is how often connections are held against their timeouts.
const checkEvery = 250 * time.Millisecond

// Open starts the goroutine that keeps the timeouts, until Close.
func (w *Listener) Open() { w.running.Go(w.keepTimeouts) }

func (w *Listener) keepTimeouts() {
	last := time.Now()
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-tick.C:
			now := time.Now()
			w.enforceTimeouts(now.Sub(last))
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
func (w *Listener) enforceTimeouts(elapsed time.Duration) {
	now := w.now.Add(min(elapsed, 2*checkEvery).Milliseconds())
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		limit, next := w.timeoutLocked(phase)
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
func (w *Listener) timeoutLocked(phase int64) (limit time.Duration, next int64) {
	switch phase {
	case phaseNew, phaseReading:
		return w.timeouts.Read, phaseTimedOut
	case phaseIdle:
		return w.timeouts.Idle, phaseIdle
	case phaseWriting, phaseTimedOut:
		return w.timeouts.Write, phaseAborted
	}
	return 0, 0
}

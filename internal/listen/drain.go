package listen

import (
	"context"
	"time"
)

// quiesceEvery is how often Quiesce looks.
const quiesceEvery = 20 * time.Millisecond

// StopAccepting closes the listening descriptor and nothing else: connections
// that are open are served and watched until Close. On a socket that the service
// manager passed, and that it keeps open, new connections go on queueing there
// for the next process. On one of our own they are refused from now on, and
// those that wait in its queue are reset. Further calls return what the first
// one did.
func (l *Listener) StopAccepting() error {
	l.stopOnce.Do(func() { l.stopErr = l.Listener.Close() })
	return l.stopErr
}

// CloseIdle asks those connections to close that have waited for a request for at
// least quiet, to within three quarters of a second of the coarse clock; 0 asks
// all that wait now. It returns how many it asked, without waiting for them. A
// connection that has not had a request yet counts from its opening; one over TLS
// is spared until it has had one. It may be called from anywhere, at any time.
//
// HTTP/1.1 has no way to end an idle connection without a race: a request may be
// on its way while the end is (RFC 9112, 9.5). This is how the race is kept small.
// The goroutine that reads the connection decides, since it alone knows what it
// has read. When bytes of a request have arrived, in its buffer or in the
// kernel's, the request is served, and its answer should carry Connection: close.
// Otherwise it sends a FIN, and reads for a second more. A request that comes then
// is not executed: it could not be answered, so the peer must be free to send it
// again. Crossed counts such requests.
//
// So a request is lost only if it was sent before the FIN reached the peer and
// arrives after the look into the kernel's queue: within one round trip, and on
// a connection that had been unused for quiet. Its peer sees the end without a
// byte of an answer, and may send it again by itself if it is idempotent (RFC
// 9112, 9.3.1). Measured with such an end under a request: nginx 1.22 passes a
// GET to the next server of its upstream and answers a POST with 502; HAProxy
// 2.6 answers 502, and with "retry-on conn-failure empty-response" repeats both.
//
// An answer with Connection: close has no race at all. So a drain should answer
// so from its beginning, and choose quiet as long as it has time: a client that
// sends more often than that loses nothing, whatever proxies stand in between.
func (l *Listener) CloseIdle(quiet time.Duration) int {
	asked := 0
	l.mu.Lock()
	defer l.mu.Unlock()
	// A stamp is as old as the check before it, and the time between two checks
	// counts as two intervals at most.
	latest := l.now.Load()
	if quiet > 0 {
		latest -= (quiet + 2*checkEvery).Milliseconds()
	}
	for c := range l.conns {
		state := c.state.Load()
		phase := state & (1<<phaseBits - 1)
		waits := phase == phaseIdle || phase == phaseNew && c.records == nil
		if waits && state>>phaseBits <= latest && c.requestCloseLocked() {
			asked++
		}
	}
	return asked
}

// Quiesce calls CloseIdle until no connection is open, or ctx ends, whose cause
// it returns then. It accepts no less than before: call StopAccepting first if
// no connections shall come.
func (l *Listener) Quiesce(ctx context.Context, quiet time.Duration) error {
	tick := time.NewTicker(quiesceEvery)
	defer tick.Stop()
	for {
		l.CloseIdle(quiet)
		if l.Conns() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// Close stops accepting and keeping timeouts, and cuts refusals under way short.
// Lingering connections have a second left, which it waits for. It returns what
// closing the inner listener said, the first time. It may be called again, and
// after StopAccepting.
func (l *Listener) Close() error {
	err := l.StopAccepting()
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	for c := range l.refusing {
		_ = c.SetDeadline(longAgo)
	}
	l.shortenLocked(time.Now().Add(closeGrace))
	l.mu.Unlock()
	l.running.Wait()
	return err
}

package listen

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of the pause after a temporary failure to accept.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// RetryingListener is a listener whose Accept retries after temporary failures.
// See Retrying.
type RetryingListener struct {
	inner net.Listener
	log   *slog.Logger

	closing sync.Once
	closed  chan struct{} // closed when Close is called
	waits   atomic.Uint64
	reports throttle
}

// Retrying wraps inner so that Accept returns only with a connection or when
// there is nothing left to wait for. Failures for want of descriptors or
// memory, and those of a peer that gave up in the queue, are retried with
// pauses from 5 ms to 1 s and logged now and then. Connections are inner's own.
// Close ends a waiting Accept at once.
func Retrying(inner net.Listener, log *slog.Logger) *RetryingListener {
	return &RetryingListener{inner: inner, log: log, closed: make(chan struct{})}
}

// Accept returns the next connection, unchanged. After Close the error is
// net.ErrClosed.
func (l *RetryingListener) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		conn, err := l.inner.Accept()
		if err == nil {
			return conn, nil
		}
		if !isTemporary(err) {
			return nil, err
		}
		l.waits.Add(1)
		l.report(err)
		if !l.wait(pause) {
			return nil, net.ErrClosed
		}
	}
}

// wait reports false when the listener was closed meanwhile.
func (l *RetryingListener) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

func (l *RetryingListener) report(err error) {
	if l.reports.allow() {
		l.log.Warn("cannot accept connections, waiting; raise LimitNOFILE or lower server.max_in_flight if this stays",
			"listener", l.inner.Addr().String(), "error", err, "times", l.waits.Load())
	}
}

// Waits is how often Accept had to wait, for metrics.
func (l *RetryingListener) Waits() uint64 { return l.waits.Load() }

// Close closes the listener and ends a waiting Accept. Further calls return
// what the inner listener says to that.
func (l *RetryingListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.inner.Close()
}

// Addr is the inner listener's.
func (l *RetryingListener) Addr() net.Addr { return l.inner.Addr() }

// isTemporary reports that accepting may succeed later. Besides the shortages these
// are the errors of the new connection itself, which accept(2) on Linux hands
// to the listener and says to treat as "try again".
func isTemporary(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN, syscall.EPERM,
		syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EHOSTDOWN,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return true
	default:
		return number == noNetwork
	}
}

// reportEvery is the shortest time between two log lines of one listener: a
// machine at its limit fails thousands of times, and logging takes descriptors
// and time itself.
const reportEvery = 10 * time.Second

// throttle lets one log line through per reportEvery. Its zero value is ready,
// and it is safe for concurrent use.
type throttle struct {
	mu   sync.Mutex
	last time.Time
}

func (t *throttle) allow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.IsZero() && time.Since(t.last) < reportEvery {
		return false
	}
	t.last = time.Now()
	return true
}

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

// Bounds of the pause after a failure to accept that will pass.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// reportEvery is the shortest time between two log lines of one listener: a
// machine at its limit fails thousands of times, and logging takes descriptors
// and time itself.
const reportEvery = 10 * time.Second

// PatientListener is a listener whose Accept waits out what will pass. See
// Patient.
type PatientListener struct {
	inner net.Listener
	log   *slog.Logger

	closing sync.Once
	closed  chan struct{} // closed when Close is called
	waits   atomic.Uint64
	reports throttle
}

// throttle lets one log line through per reportEvery. Its zero value is ready,
// and it is safe for concurrent use.
type throttle struct {
	mu   sync.Mutex
	last time.Time
}

func (t *throttle) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.IsZero() && time.Since(t.last) < reportEvery {
		return false
	}
	t.last = time.Now()
	return true
}

// Patient wraps inner so that Accept returns only with a connection or when
// there is nothing left to wait for. Failures for want of descriptors or
// memory, and those of a peer that gave up in the queue, are waited out with
// pauses from 5 ms to 1 s and logged now and then. Connections are inner's own.
// Close ends a waiting Accept at once.
func Patient(inner net.Listener, log *slog.Logger) *PatientListener {
	return &PatientListener{inner: inner, log: log, closed: make(chan struct{})}
}

// Accept returns the next connection, unchanged. After Close the error is
// net.ErrClosed.
func (l *PatientListener) Accept() (net.Conn, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		conn, err := l.inner.Accept()
		if err == nil {
			return conn, nil
		}
		if !passes(err) {
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
func (l *PatientListener) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}

func (l *PatientListener) report(err error) {
	if l.reports.due() {
		l.log.Warn("cannot accept connections, waiting; raise LimitNOFILE or lower server.max_in_flight if this stays",
			"listener", l.inner.Addr().String(), "error", err, "times", l.waits.Load())
	}
}

// Waits is how often Accept had to wait, for metrics.
func (l *PatientListener) Waits() uint64 { return l.waits.Load() }

// Close closes the listener and ends a waiting Accept. Further calls return
// what the inner listener says to that.
func (l *PatientListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.inner.Close()
}

// Addr is the inner listener's.
func (l *PatientListener) Addr() net.Addr { return l.inner.Addr() }

// passes reports that accepting may succeed later. Besides the shortages these
// are the errors of the new connection itself, which accept(2) on Linux hands
// to the listener and says to treat as "try again".
func passes(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EAGAIN, syscall.EPERM,
		syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EHOSTDOWN,
		syscall.ENONET, syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return true
	default:
		return false
	}
}

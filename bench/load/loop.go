package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// link is a connection of a loop. One that is not idle waits for an answer.
type link struct {
	fd   int
	due  time.Duration // of the request that waits
	part []byte        // of its answer
}

// loop carries a plan out. Times are since its start.
type loop struct {
	plan    Plan
	found   *Outcome
	random  *rand.Rand
	epoll   int
	links   []link
	events  []unix.EpollEvent
	poll    [1]unix.PollFd
	timeout unix.Timespec
	in      []byte // what is read first
	out     []byte // what is sent
	start   time.Time

	idle    []int32 // a ring of links that may be asked: free of them, from first on
	first   int
	free    int
	waiting []time.Duration // when requests were due that have no link, the first at head
	head    int
	sent    int64         // requests
	pending int           // requests that were sent and are not answered
	next    time.Duration // when the next one is due; in a closed loop only as each link's first
	used    time.Duration // processor time of what is counted
	begun   bool
	ended   bool
}

// end is when nothing is due any more.
func (l *loop) end() time.Duration { return l.plan.Warm + l.plan.For }

// over tells whether nothing is due any more.
func (l *loop) over(now time.Duration) bool {
	return now >= l.end() || l.plan.Most > 0 && l.sent >= l.plan.Most
}

func (l *loop) now() time.Duration { return time.Since(l.start) }

// drive sends what is due and reads what has come, until all is answered.
func (l *loop) drive() error {
	l.start = time.Now()
	for {
		now := l.now()
		if err := l.mark(now); err != nil {
			return err
		}
		if err := l.sendDue(now); err != nil {
			return err
		}
		if l.over(now) && l.pending == 0 && l.head == len(l.waiting) {
			return l.stop()
		}
		if now > l.end()+answersWithin {
			return fmt.Errorf("%d answers have not come within %v", l.pending+len(l.waiting)-l.head, answersWithin)
		}
		if err := l.readReady(); err != nil {
			return err
		}
	}
}

// mark calls what the plan wants to be called at the limits of what is counted.
func (l *loop) mark(now time.Duration) (err error) {
	if !l.begun && now >= l.plan.Warm {
		l.begun = true
		if l.plan.Begin != nil {
			err = l.plan.Begin()
		}
		used, usageErr := threadTime()
		err = errors.Join(err, usageErr)
		l.used, l.found.Elapsed = -used, -l.now()
	}
	if l.begun && now >= l.end() {
		err = errors.Join(err, l.stop())
	}
	return err
}

// stop ends what is counted, once.
func (l *loop) stop() error {
	if l.ended || !l.begun {
		return nil
	}
	l.ended = true
	l.found.Elapsed += l.now()
	used, err := threadTime()
	l.found.Busy = float64(l.used+used) / float64(l.found.Elapsed)
	if l.plan.End != nil {
		err = errors.Join(err, l.plan.End())
	}
	return err
}

// threadTime is the processor time that this thread has used so far.
func threadTime() (time.Duration, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return 0, fmt.Errorf("reading the thread's processor time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// sendDue sends what is due by now. In a closed loop all links are asked at the start.
func (l *loop) sendDue(now time.Duration) error {
	if l.plan.Rate == 0 {
		for l.free > 0 && !l.over(now) {
			if err := l.send(l.take(), now); err != nil {
				return err
			}
		}
		return nil
	}
	for l.next <= now && l.next < l.end() {
		if l.free > 0 {
			if err := l.send(l.take(), l.next); err != nil {
				return err
			}
		} else {
			l.waiting = append(l.waiting, l.next)
			if n := len(l.waiting) - l.head; n > maxWaiting {
				return fmt.Errorf("%d requests wait for a connection: the server cannot serve %.0f a second", n, l.plan.Rate)
			}
			l.found.Waiting = max(l.found.Waiting, len(l.waiting)-l.head)
		}
		l.next += time.Duration(l.random.ExpFloat64() / l.plan.Rate * float64(time.Second))
	}
	return nil
}

// take takes the link that has been idle longest.
func (l *loop) take() int32 {
	i := l.idle[l.first]
	l.first, l.free = (l.first+1)%len(l.idle), l.free-1
	return i
}

// rest makes a link idle.
func (l *loop) rest(i int32) {
	l.idle[(l.first+l.free)%len(l.idle)] = i
	l.free++
}

// send asks over a link.
func (l *loop) send(i int32, due time.Duration) error {
	k := &l.links[i]
	l.out = l.plan.Request(l.out[:0], l.random)
	n, err := unix.Write(k.fd, l.out)
	if err == nil && n < len(l.out) {
		err = errors.New("the request does not fit into the connection's buffer")
	}
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	k.due = due
	l.sent++
	l.pending++
	if l.plan.Rate > 0 && l.counts(due) {
		l.found.Late.Add(l.now() - due)
	}
	return nil
}

// counts tells whether what was due then is counted.
func (l *loop) counts(due time.Duration) bool { return due >= l.plan.Warm && due < l.end() }

// pause is how long to wait for answers at most.
func (l *loop) pause(now time.Duration) time.Duration {
	const most = 10 * time.Millisecond // to look at the clock
	until := most
	if l.plan.Rate > 0 && l.next < l.end() {
		until = min(until, l.next-now)
	}
	if !l.ended {
		limit := l.plan.Warm
		if l.begun {
			limit = l.end()
		}
		until = min(until, limit-now)
	}
	return max(until, 0)
}

// readReady waits for answers and reads those that have come.
func (l *loop) readReady() error {
	n, err := unix.EpollWait(l.epoll, l.events, 0)
	if err == nil && n == 0 {
		if wait := l.pause(l.now()); wait > 0 {
			// To the nanosecond, which waiting by epoll itself does not know.
			l.poll[0] = unix.PollFd{Fd: int32(l.epoll), Events: unix.POLLIN}
			l.timeout = unix.NsecToTimespec(int64(wait))
			_, err = unix.Ppoll(l.poll[:], &l.timeout, nil)
		}
		if err == nil {
			n, err = unix.EpollWait(l.epoll, l.events, 0)
		}
	}
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("waiting for answers: %w", err)
	}
	for _, event := range l.events[:n] {
		if err := l.read(event.Fd); err != nil {
			return err
		}
	}
	return nil
}

// read reads what has come on a link. When it is a whole answer, the link asks
// what is due next, or is idle.
func (l *loop) read(i int32) error {
	k := &l.links[i]
	n, err := unix.Read(k.fd, l.in)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("reading: %w", err)
	case n == 0:
		return errors.New("reading: the server has ended a connection")
	}
	got := l.in[:n]
	if len(k.part) > 0 {
		k.part = append(k.part, got...)
		got = k.part
	}
	length, err := l.plan.Answer(got)
	switch {
	case err != nil:
		return err
	case length == 0:
		if len(k.part) == 0 {
			k.part = append(k.part, got...)
		}
		return nil
	case length < len(got):
		return fmt.Errorf("%d bytes have come after an answer that nobody has asked for: %.200q", len(got)-length, got[length:])
	}
	k.part = k.part[:0]
	return l.answered(i)
}

// answered counts an answer and lets its link ask again.
func (l *loop) answered(i int32) error {
	k, now := &l.links[i], l.now()
	l.pending--
	if l.plan.Rate == 0 {
		// What a closed loop is answered within the time counts, whenever it was asked.
		if l.begun && !l.ended && now < l.end() {
			l.found.Answered++
			l.found.Latencies.Add(now - k.due)
		}
		if !l.over(now) {
			return l.send(i, now)
		}
		return nil
	}
	if l.counts(k.due) {
		l.found.Answered++
		l.found.Latencies.Add(now - k.due)
	}
	if l.head == len(l.waiting) {
		l.rest(i)
		return nil
	}
	due := l.waiting[l.head]
	if l.head++; l.head == len(l.waiting) {
		l.waiting, l.head = l.waiting[:0], 0
	}
	return l.send(i, due)
}

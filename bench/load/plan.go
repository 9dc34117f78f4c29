package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hearth/bench/report"
)

// Plan is load on one server over connections of its own, by one thread. It is written for
// little: a system call for each request, one for each answer, and no allocation. So one
// processor can offer what another one can serve.
//
// With a Rate the loop is open: when a request is due depends on the clock and on
// nothing else, its latency counts from then on, and what finds no free connection waits
// for one. A server that is late is thus asked as much as one that is not, and every
// request that its being late concerns has that in its latency. Without a Rate
// the loop is closed: each connection asks again as soon as it is answered.
type Plan struct {
	Addr        string // host:port
	Connections int
	Rate        float64       // requests a second, at times that do not depend on each other (Poisson); 0: a closed loop
	Warm        time.Duration // before anything is counted
	For         time.Duration // how long requests are counted
	Most        int64         // the most requests of a closed loop, which ends with them; 0: no limit
	Seed        uint64        // chooses times and requests
	CPUs        []int         // the only processors that the thread may use; nil: any

	// Request appends the next request.
	Request func(out []byte, random *rand.Rand) []byte
	// Answer is the length of the answer that in begins with, 0 where that is not whole yet.
	Answer func(in []byte) (int, error)
	// Begin and End are called at the limits of what is counted; nil: nothing. The load
	// stands still meanwhile, so they should be quick.
	Begin, End func() error
}

// Outcome is what a Plan has found.
type Outcome struct {
	Answered  int64 // of what was due within the time that is counted; all of it
	Elapsed   time.Duration
	Latencies report.Latencies // from when a request was due until its answer was read
	// Late is from when a request was due until it was sent: by the thread's own being late,
	// and by waiting for a connection.
	Late    report.Latencies
	Waiting int     // the most that waited for a connection at a time
	Busy    float64 // the part of the time that is counted in which the thread used its processor
}

const (
	// answersWithin is how long after the last request all answers must have come.
	answersWithin = 10 * time.Second
	// maxWaiting bounds what waits for a connection: a server that is so far behind cannot
	// serve the rate.
	maxWaiting = 1 << 20
	// atOnce is how many answers are read for each look at what is due: few, so that
	// reading makes nothing late.
	atOnce = 16
)

// Run connects, and carries the plan out. Any error, and an answer that does not come,
// fails it.
func (p Plan) Run() (*Outcome, error) {
	type result struct {
		outcome *Outcome
		err     error
	}
	done := make(chan result)
	go func() {
		// The thread is pinned and has a finer clock: it ends with this goroutine.
		runtime.LockOSThread()
		outcome, err := p.run()
		done <- result{outcome, err}
	}()
	r := <-done
	return r.outcome, r.err
}

func (p Plan) run() (*Outcome, error) {
	if err := prepareThread(p.CPUs); err != nil {
		return nil, err
	}
	l := &loop{
		plan: p, found: &Outcome{}, random: rand.New(rand.NewPCG(p.Seed, 1)),
		in: make([]byte, 256<<10), events: make([]unix.EpollEvent, atOnce),
	}
	defer l.close()
	if err := l.connect(); err != nil {
		return nil, err
	}
	if err := l.drive(); err != nil {
		return nil, fmt.Errorf("loading %s: %w", p.Addr, err)
	}
	return l.found, nil
}

// prepareThread pins the thread and lets it wake up when it is due, and not within the
// 50 µs after it that the kernel takes to save power.
func prepareThread(cpus []int) error {
	if len(cpus) > 0 {
		var set unix.CPUSet
		for _, cpu := range cpus {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("pinning the load to %v: %w", cpus, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("asking for a finer clock: %w", err)
	}
	return nil
}

// connect opens all connections.
func (l *loop) connect() error {
	addr, err := net.ResolveTCPAddr("tcp4", l.plan.Addr)
	if err != nil {
		return err
	}
	to := unix.SockaddrInet4{Port: addr.Port}
	copy(to.Addr[:], addr.IP.To4())
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	l.links, l.idle = make([]link, l.plan.Connections), make([]int32, l.plan.Connections)
	for i := range l.links {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("opening connection %d: %w", i+1, err)
		}
		l.links[i].fd = fd
		// Reset at the end, so that its port is not kept for a minute.
		err = errors.Join(
			unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
			unix.Connect(fd, &to), // waits; what is sent and read later does not
			unix.SetNonblock(fd, true),
			unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}),
		)
		if err != nil {
			return fmt.Errorf("connecting to %s, connection %d: %w", l.plan.Addr, i+1, err)
		}
		l.rest(int32(i))
	}
	return nil
}

// close ends all connections.
func (l *loop) close() {
	for i := range l.links {
		if l.links[i].fd != 0 {
			_ = unix.Close(l.links[i].fd)
		}
	}
	if l.epoll != 0 {
		_ = unix.Close(l.epoll)
	}
}

// AllowConnections lets this process, and all that it starts, have so many connections
// open. It has to be said even where the limit is high enough for this process: Go
// raises its own, and gives the former one to what it starts.
func AllowConnections(n int) error {
	const others = 500 // files that are no connections under load
	need := uint64(n + others)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	limit.Cur, limit.Max = max(limit.Max, need), max(limit.Max, need)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("raising the limit of open files to %d: %w; raise it with ulimit -n, or ask for fewer connections", need, err)
	}
	return nil
}

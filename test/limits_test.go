package test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// limited starts an instance with the demo's configuration and the embedded tier on
// a TCP port. With files it may have no more descriptors than that.
func limited(tb testing.TB, files int, env ...string) *launch.Instance {
	tb.Helper()
	p := launch.Program{Config: launch.Demo(tb), Env: env, Public: launch.Port}
	if files > 0 {
		p.Wrapper = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files)}
	}
	return p.Ready(tb)
}

// TestDescriptorsRunOut opens connections until the server has no descriptor
// left to accept one with. Those it has are still answered, and when the others
// go it accepts again, all by itself.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	const files = 64
	in := limited(t, files)
	regular := in.MustDial()
	// /readyz tells of it a little before /healthz does.
	await(t, "health checks pass", func() bool { return regular.Get("/healthz").Code == http.StatusOK })
	before := in.Metric("process_open_fds")
	answered := func(when string) {
		t.Helper()
		for target, want := range map[string]int{"/user/1": 200, "/item/none": 404, "/healthz": 200} { // none: asked of the shared tier each time
			if got := regular.Get(target); got.Code != want {
				t.Errorf("%s: GET %s answered %v", when, target, got)
			}
		}
	}
	for range 3 { // into memory
		answered("before")
	}

	// The kernel takes connections that nobody accepts, so opening succeeds.
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	const complaint = "cannot accept connections, waiting"
	await(t, "the server complains", func() bool {
		if len(conns) < 4*files {
			c, err := net.DialTimeout("tcp", in.Public, 20*time.Second)
			must(t, err)
			conns = append(conns, c)
		}
		return strings.Contains(in.Logs(), complaint)
	})
	t.Logf("%d connections exhausted %d descriptors", len(conns), files)
	for range 20 {
		answered("without descriptors")
	}

	for _, c := range conns {
		_ = c.Close()
	}
	if got := in.MustDial().Get("/user/1"); got.Code != http.StatusOK {
		t.Errorf("with descriptors again: answered %v", got)
	}
	answered("with descriptors again")
	await(t, "the connections are gone", func() bool {
		return in.Metric("process_open_fds") <= before+8 // our two, and what the database has opened
	})
}

// TestConnectionsBeyondTheLimit opens one connection more than the server may
// have: it is told so as it would be told anything else, at once, and the
// others go on.
func TestConnectionsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 1024 // four for each request in flight, and at least so many
	in := limited(t, 0, "HEARTH_SERVER_MAX_IN_FLIGHT=1")
	var inside []*launch.Conn
	for range limit {
		inside = append(inside, in.MustDial())
	}
	for _, c := range []*launch.Conn{inside[0], inside[limit-1]} { // accepted in the order of opening
		if got := c.Get("/healthz"); got.Code != http.StatusOK {
			t.Fatalf("inside: answered %v", got)
		}
	}
	outside := in.MustDial()
	must(t, outside.Response.Read(outside.In)) // without having asked
	h := &outside.Response.Header
	if outside.Response.StatusCode() != 503 || string(h.ContentType()) != "application/problem+json" || len(h.Peek("Retry-After")) == 0 || !h.ConnectionClose() {
		t.Errorf("beyond the limit: answered\n%s%s", h, outside.Response.Body())
	}
	_ = inside[0].Close()
	await(t, "there is room again", func() bool {
		c, err := in.Dial()
		must(t, err)
		defer func() { _ = c.Close() }()
		return c.Get("/healthz").Code == http.StatusOK
	})
}

// peersAtATime is how many slow peers there are at a time: as many as the limit of
// open files allows this process to be.
func peersAtATime(tb testing.TB) int {
	tb.Helper()
	want, spare := 500, 300
	if testkit.Long() {
		want = 5000
	}
	var limit unix.Rlimit
	must(tb, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	must(tb, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	n := min(want, int(min(limit.Max, 1<<20))-spare)
	if n < min(want, 1000) {
		tb.Fatalf("%d files may be open; raise the hard limit to %d at least", limit.Max, 1000+spare)
	}
	return n
}

// TestSlowPeers lets many connections send or read as slowly as they like, while
// ordinary clients use the same listener: those are all answered, the slow ones are
// cut off, and nothing of them stays.
func TestSlowPeers(t *testing.T) {
	if !testkit.Long() {
		return // so many connections take a tenth of the processor time of all tests here
	}
	t.Parallel()
	n := peersAtATime(t)
	timeout := 2 * time.Second
	if testkit.Long() {
		timeout = 10 * time.Second
	}
	in := limited(t, 0, fmt.Sprintf("HEARTH_SERVER_READ_TIMEOUT=%v", timeout), fmt.Sprintf("HEARTH_SERVER_WRITE_TIMEOUT=%v", timeout))
	large := `[{"id":"large","text":"` + strings.Repeat("x", 256<<10) + `"}]`
	if got := in.Ask(http.MethodPost, "/batch_process", large); got.Code != http.StatusOK {
		t.Fatalf("storing the large item: %v", got)
	}
	in.HTTP.CloseIdleConnections()
	goroutines, files, memory := in.Metric("go_goroutines"), in.Metric("process_open_fds"), in.Metric("process_resident_memory_bytes")

	pace := timeout / 16
	for _, c := range []slowPeers{
		{name: "headers", size: n, first: "GET /user/1 HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", drip: "x", pace: pace},
		{name: "bodies", size: n, first: "PUT /user/2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", drip: " ", pace: pace},
		{name: "large bodies", size: n, first: "POST /batch_process HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
			"Content-Length: 8000000\r\n\r\n" + strings.Repeat(" ", 12<<10), drip: " ", pace: pace},
		{name: "answers", size: n / 10, first: strings.Repeat("GET /item/large HTTP/1.1\r\nHost: localhost\r\n\r\n", 16), deaf: true, pace: pace},
	} {
		t.Run(c.name, func(t *testing.T) {
			usual := startTraffic(in)
			most := c.attack(t, in)
			answered, failed, fault := usual.stop()
			t.Logf("up to %.0f descriptors were open; %d ordinary requests were answered meanwhile", most, answered)
			if failed > 0 || answered == 0 {
				t.Errorf("of the ordinary requests %d were answered and %d failed, the first: %v", answered, failed, fault)
			}
		})
	}
	// Bodies that were announced and did not come take no memory.
	if grown := in.Metric("process_resident_memory_bytes") - memory; grown > float64(n<<20) {
		t.Errorf("%.0f bytes of memory were taken for %d slow peers", grown, n)
	}
	// A worker of fasthttp's waits up to twenty seconds for more work. The
	// database may have opened a few connections.
	testkit.Eventually(t, time.Minute, "goroutines and descriptors are back", func() bool {
		return in.Metric("go_goroutines") <= goroutines+40 && in.Metric("process_open_fds") <= files+40
	})
}

// slowPeers are connections that are slow in the same way.
type slowPeers struct {
	name  string
	size  int
	first string        // sent at once
	drip  string        // sent again and again
	deaf  bool          // they send no more, and read as good as nothing
	pace  time.Duration // between two drips, or two bytes read
}

// attack opens them and waits until each was cut off. It returns
// the most descriptors that the server was seen to have open.
func (c slowPeers) attack(t *testing.T, in *launch.Instance) (most float64) {
	t.Helper()
	var told, cut atomic.Int64
	var groups sync.WaitGroup
	const share = 50 // connections for each goroutine
	for begin := 0; begin < c.size; begin += share {
		groups.Go(func() {
			if err := c.play(in.Public, min(share, c.size-begin), &told, &cut); err != nil {
				t.Error(err)
			}
		})
	}
	over := make(chan struct{})
	go func() {
		groups.Wait()
		close(over)
	}()
	testkit.Eventually(t, 2*time.Minute, fmt.Sprintf("all %d connections are cut off", c.size), func() bool {
		most = max(most, in.Metric("process_open_fds"))
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
	t.Logf("%d of %d connections were cut off, %d of them were told 408", cut.Load(), c.size, told.Load())
	if got := cut.Load(); got != int64(c.size) {
		t.Errorf("%d connections of %d were cut off", got, c.size)
	}
	return most
}

// play opens n of the connections and is slow on them until none is left.
func (c slowPeers) play(addr string, n int, told, cut *atomic.Int64) error {
	dialer := net.Dialer{Timeout: time.Minute}
	if c.deaf {
		dialer.Control = smallBuffers
	}
	var left []*net.TCPConn
	for range n {
		conn, err := dialer.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte(c.first)); err != nil {
			return err
		}
		left = append(left, conn.(*net.TCPConn))
	}
	tick := time.NewTicker(c.pace)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); len(left) > 0; <-tick.C {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d connections are still open", len(left))
		}
		var open []*net.TCPConn
		for _, conn := range left {
			said, over := c.move(conn)
			switch {
			case !over:
				open = append(open, conn)
			case bytes.HasPrefix(said, []byte("HTTP/1.1 408 ")):
				told.Add(1)
				fallthrough
			default:
				cut.Add(1)
			}
		}
		left = open
	}
	return nil
}

// move does the one thing that a slow connection does from time to
// time. It reports what the server said, and whether it has cut the connection
// off.
func (c slowPeers) move(conn *net.TCPConn) (said []byte, over bool) {
	buf := make([]byte, 4<<10)
	if c.deaf {
		buf = buf[:1]
	}
	n, err := receive(conn, buf)
	if err == nil && !c.deaf && n > 0 {
		return buf[:n], true // whatever it says, it is the last
	}
	if over := n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN); over || c.deaf {
		return nil, over || isReset(conn)
	}
	_, err = conn.Write([]byte(c.drip))
	return nil, err != nil
}

// receive reads what is there and does not wait for more.
func receive(conn *net.TCPConn, buf []byte) (n int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	if controlErr := raw.Control(func(fd uintptr) { n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT) }); controlErr != nil {
		return 0, controlErr
	}
	return n, err
}

// isReset tells whether the other side has given the connection up, although
// something may be left to be read.
func isReset(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return true
	}
	poll := []unix.PollFd{{Events: unix.POLLRDHUP}}
	if err := raw.Control(func(fd uintptr) {
		poll[0].Fd = int32(fd)
		_, _ = unix.Poll(poll, 0)
	}); err != nil {
		return true
	}
	return poll[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLRDHUP) != 0
}

// smallBuffers makes a connection of which the kernels on both sides hold
// little: segments are small, and so are the buffers that are reckoned in them.
func smallBuffers(_, _ string, raw syscall.RawConn) (err error) {
	controlErr := raw.Control(func(fd uintptr) {
		err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536))
	})
	return errors.Join(controlErr, err)
}

// traffic is what ordinary clients do.
type traffic struct {
	done     chan struct{}
	clients  sync.WaitGroup
	answered atomic.Int64
	failed   atomic.Int64
	fault    atomic.Value // string: the first failure
}

// startTraffic lets eight clients ask for this and that, half of them on a new
// connection each time.
func startTraffic(in *launch.Instance) *traffic {
	t := &traffic{done: make(chan struct{})}
	for i := range 8 {
		t.clients.Go(func() { t.client(in, i) })
	}
	return t
}

// stop ends the traffic and tells how it went.
func (t *traffic) stop() (answered, failed int64, fault any) {
	close(t.done)
	t.clients.Wait()
	return t.answered.Load(), t.failed.Load(), t.fault.Load()
}

func (t *traffic) client(in *launch.Instance, number int) {
	requests := []struct{ method, target, body string }{
		{"GET", fmt.Sprintf("/user/%d", 10+number), ""},
		{"GET", "/user?user_id=1&user_id=2&user_id=3", ""},
		{"PUT", fmt.Sprintf("/user/%d", 10+number), `{"name":"Ada","city":"London"}`},
		{"POST", "/batch_process", fmt.Sprintf(`[{"id":"t%d"}]`, number)},
		{"GET", "/healthz", ""},
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var conn *launch.Conn
	for i := 0; ; i++ {
		r := requests[i%len(requests)]
		var err error
		if conn == nil {
			conn, err = in.Dial()
		}
		if err == nil {
			if got := conn.Ask(r.method, r.target, r.body); got.Code != http.StatusOK {
				err = fmt.Errorf("answered %v", got)
			}
		}
		if err != nil {
			t.failed.Add(1)
			t.fault.CompareAndSwap(nil, fmt.Sprintf("%s %s: %v", r.method, r.target, err))
		} else {
			t.answered.Add(1)
		}
		over := false
		select {
		case <-t.done:
			over = true
		case <-tick.C:
		}
		if conn != nil && (over || err != nil || number%2 == 1) {
			_ = conn.Close()
			conn = nil
		}
		if over {
			return
		}
	}
}

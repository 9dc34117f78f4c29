package testkit

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"
)

// stepWithin bounds each step of a script: long enough for a loaded machine,
// short enough that a script out of step with its client ends in a message.
const stepWithin = 10 * time.Second

// Script is a server that speaks Redis' protocol and answers what its script
// says, when the script says so.
type Script struct {
	tb   TB
	ln   net.Listener
	addr string
	wg   sync.WaitGroup // the accepting goroutine and one per connection

	mu      sync.Mutex
	conns   []*Conn
	closing bool
}

// ScriptedRedis listens on a port of its own and calls script with each
// connection, in a goroutine of that connection. A step that fails fails the
// test and ends its script. When script returns, the connection stays open:
// handshakes and pings are still answered, any other command fails the test. The
// server ends with the test.
func ScriptedRedis(tb TB, script func(c *Conn)) *Script {
	tb.Helper()
	addr := hostPort(FreePort(tb))
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatalf("listening for a scripted Redis: %v", err)
	}
	s := &Script{tb: tb, ln: ln, addr: addr}
	s.wg.Go(func() { s.accept(script) })
	tb.Cleanup(s.Close)
	return s
}

// Addr is host:port.
func (s *Script) Addr() string { return s.addr }

// URL is the address in the form of the configuration key redis.url.
func (s *Script) URL() string { return "redis://" + s.addr }

// Conns returns the connections accepted so far, closed ones included, in the
// order in which they came.
func (s *Script) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Conn(nil), s.conns...)
}

// Conn waits until n connections have come (n counts from 1) and returns the
// latest of these. It must be called from the test's own goroutine.
func (s *Script) Conn(n int) *Conn {
	s.tb.Helper()
	Eventually(s.tb, stepWithin, "a connection to the scripted Redis", func() bool { return len(s.Conns()) >= n })
	return s.Conns()[n-1]
}

// Close ends the server and its connections and waits for the scripts to end. A
// script that hangs in the test's own code fails the test.
func (s *Script) Close() {
	s.mu.Lock()
	s.closing = true
	conns := s.conns
	s.mu.Unlock()
	_ = s.ln.Close()
	for _, c := range conns {
		c.Close()
	}
	ended := make(chan struct{})
	go func() { s.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(stopWithin):
		s.tb.Errorf("ending the scripted Redis: a script still runs after %v", stopWithin)
	}
}

func (s *Script) accept(script func(c *Conn)) {
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.closing {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		c := &Conn{ID: len(s.conns) + 1, srv: s, nc: nc, dec: newDecoder(nc)}
		s.conns = append(s.conns, c)
		s.mu.Unlock()
		s.wg.Go(func() {
			defer c.Close()
			script(c)
			c.Serve(func([]string) (any, bool) { return nil, false })
		})
	}
}

// Conn is a client's connection to a Script. Steps that read end the goroutine
// when they fail and belong into the script; Reply, Write, Push and Close may be
// called from anywhere.
type Conn struct {
	ID  int // 1 for the first connection of the server, and so on
	srv *Script

	nc     net.Conn
	dec    *decoder
	unread *request // a command that Handshake looked at

	out outbox
}

// request is one command as it was read.
type request struct {
	args []string
	raw  string
}

// Any stands for any single argument in Expect.
const Any = "\x00any"

// errWaiting is returned by reads whose deadline has passed.
var errWaiting = errors.New("nothing came in time")

// next reads a command; within 0 means to wait until the connection ends.
func (c *Conn) next(within time.Duration) (request, error) {
	if u := c.unread; u != nil {
		c.unread = nil
		return *u, nil
	}
	var deadline time.Time
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return request{}, err
	}
	v, raw, err := c.dec.next()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return request{}, errWaiting
	}
	if err != nil {
		return request{}, err
	}
	list, _ := v.([]any)
	cmd := request{args: make([]string, len(list)), raw: raw}
	for i, e := range list {
		cmd.args[i] = text(e)
	}
	if len(list) == 0 {
		c.fail("reading a command: %q is none", raw)
	}
	return cmd, nil
}

// take reads the next command that is not a ping and notes that it waits for a reply. Pings keep
// clients from giving up while a script holds a reply back; they are answered in
// their turn.
func (c *Conn) take(within time.Duration, pings bool) (request, error) {
	for {
		cmd, err := c.next(within)
		if err != nil {
			return cmd, err
		}
		e := c.out.expect(cmd.args, fromScript)
		if pings || !strings.EqualFold(cmd.args[0], "PING") {
			return cmd, nil
		}
		c.out.answer(c.nc, e, handshake(c.ID, cmd.args))
	}
}

// Read returns the next command, nil when the client has closed the connection.
// Pings are answered on the way.
func (c *Conn) Read() []string {
	cmd, err := c.take(stepWithin, false)
	if errors.Is(err, errWaiting) {
		c.fail("reading a command: %v", err)
	}
	return cmd.args
}

// Expect reads the next command, fails unless it is this one, and returns it. The
// command's name may be in any case, and Any matches one argument. Pings are
// answered on the way unless PING is what is expected.
func (c *Conn) Expect(want ...string) []string {
	cmd, err := c.take(stepWithin, strings.EqualFold(want[0], "PING"))
	if err != nil {
		c.fail("expecting %q: %v", want, err)
	}
	ok := len(cmd.args) == len(want) && strings.EqualFold(cmd.args[0], want[0])
	for i := 1; ok && i < len(want); i++ {
		ok = want[i] == Any || want[i] == cmd.args[i]
	}
	if !ok {
		c.fail("expecting %q: the client sent %q", want, cmd.args)
	}
	return cmd.args
}

// Handshake answers what a client sends when it connects, as redis-server 7.0
// does, until another command comes, which the next step reads. It ends the
// script when the client closes the connection instead.
func (c *Conn) Handshake() {
	for {
		cmd, err := c.next(0)
		if err != nil {
			runtime.Goexit()
		}
		v := handshake(c.ID, cmd.args)
		if v == nil {
			c.unread = &cmd
			return
		}
		c.out.answer(c.nc, c.out.expect(cmd.args, fromScript), v)
	}
}

// Serve answers commands with what reply returns until the connection ends. Those
// for which it returns false are answered as a handshake; one that is not part of
// a handshake fails the test.
func (c *Conn) Serve(reply func(cmd []string) (v any, ok bool)) {
	for {
		cmd, err := c.next(0)
		if err != nil {
			return
		}
		e := c.out.expect(cmd.args, fromScript)
		v, ok := reply(cmd.args)
		if !ok {
			if v = handshake(c.ID, cmd.args); v == nil {
				c.fail("serving: the script has no answer to %q", cmd.args)
			}
		}
		c.out.answer(c.nc, e, v)
	}
}

// Reply answers the oldest unanswered command.
func (c *Conn) Reply(v any) { c.Write(Encode(v)) }

// Write sends bytes as they are: several replies, half of one, or nonsense.
// Each complete reply among them answers the oldest unanswered command.
func (c *Conn) Write(raw string) { c.out.write(c.nc, raw) }

// Push sends a push at once, whatever is unanswered: Push("invalidate",
// []any{"key"}), or Push("invalidate", nil) for a flush. It must not come between
// the halves of a reply.
func (c *Conn) Push(name string, args ...any) {
	c.out.push(c.nc, Encode(append(Push{name}, args...)))
}

// Close closes the connection; a second time does nothing.
func (c *Conn) Close() { _ = c.nc.Close() }

// Reset cuts the connection with a TCP reset, as a crashed peer's kernel does.
func (c *Conn) Reset() {
	if tcp, ok := c.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// fail reports a failed step, unless the server is ending anyway, and ends the script.
func (c *Conn) fail(format string, args ...any) {
	c.srv.mu.Lock()
	closing := c.srv.closing
	c.srv.mu.Unlock()
	if !closing {
		c.srv.tb.Errorf("scripted Redis, connection %d: "+format, append([]any{c.ID}, args...)...)
	}
	c.Close()
	runtime.Goexit()
}

// handshake is redis-server 7.0's answer to a command that clients send when they
// connect, nil for any other command.
func handshake(id int, cmd []string) any {
	name := strings.ToUpper(cmd[0])
	if name == "CLIENT" && len(cmd) > 1 {
		name += " " + strings.ToUpper(cmd[1])
	}
	switch name {
	case "HELLO":
		return Map{"server", "redis", "version", "7.0.15", "proto", 3, "id", id,
			"mode", "standalone", "role", "master", "modules", []any{}}
	case "AUTH", "SELECT", "QUIT", "CLIENT TRACKING", "CLIENT SETNAME", "CLIENT NO-EVICT":
		return Simple("OK")
	case "PING":
		return Simple("PONG")
	case "CLIENT SETINFO", "CLIENT NO-TOUCH", "CLIENT CAPA": // younger than 7.0
		return Error("ERR unknown subcommand '" + cmd[1] + "'. Try CLIENT HELP.")
	case "CLUSTER", "READONLY":
		return Error("ERR This instance has cluster support disabled")
	}
	return nil
}

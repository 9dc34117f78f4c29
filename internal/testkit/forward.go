package testkit

import (
	"net"
	"time"
)

// Forwarding passes a connection on to a real server, so that a test scripts only
// the moment it is about. The hooks may block, which delays all that comes after
// on this connection in the same direction, as a slow network would; they must
// not block past the end of the test.
type Forwarding struct {
	// To is the server's host:port.
	To string
	// Command sees each command and returns true when it, or the test, answers
	// that command by Reply or Write; else the command is forwarded. Nil
	// forwards all.
	Command func(cmd []string) bool
	// Reply sees each reply of the server with its command and returns the bytes
	// to send instead; raw is as it came. Nil sends it as it is.
	Reply func(cmd []string, raw string) string
	// Push sees each push of the server and returns the bytes to send instead;
	// "" drops it. Nil sends it as it is.
	Push func(push Push, raw string) string
}

// Forward connects the client to a real server until one of them closes the
// connection, or c is closed. Replies keep the order of commands, whoever answers.
func (c *Conn) Forward(f Forwarding) {
	up, err := net.DialTimeout("tcp", f.To, stepWithin)
	if err != nil {
		c.fail("forwarding to %s: %v", f.To, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		c.fromServer(up, f)
	}()
	defer func() {
		c.Close()
		_ = up.Close()
		<-done
	}()
	for {
		cmd, err := c.next(0)
		if err != nil {
			return
		}
		e := c.out.expect(cmd.args, fromScript)
		if f.Command != nil && f.Command(cmd.args) {
			continue
		}
		c.out.assign(e, fromUpstream)
		_ = up.SetWriteDeadline(time.Now().Add(stepWithin))
		if _, err := up.Write([]byte(cmd.raw)); err != nil {
			return
		}
	}
}

// fromServer copies replies and pushes of the server to the client.
func (c *Conn) fromServer(up net.Conn, f Forwarding) {
	dec := newDecoder(up)
	for {
		v, raw, err := dec.next()
		if err != nil {
			return
		}
		push, isPush := v.(Push)
		switch {
		case isPush && f.Push != nil:
			raw = f.Push(push, raw)
		case !isPush && f.Reply != nil:
			raw = f.Reply(c.out.upstreamCommand(), raw)
		}
		c.out.upstream(c.nc, raw, isPush)
	}
}

// assign says who answers e, which nobody has answered yet.
func (o *outbox) assign(e *pendingReply, from answerer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e.from = from
}

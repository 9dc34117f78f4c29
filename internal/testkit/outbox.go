package testkit

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// answerer says who has to answer a command.
type answerer int

const (
	fromScript   answerer = iota // Reply or Write
	fromUpstream                 // the server that commands are forwarded to
	fromHere                     // answered as soon as it was read
)

// pendingReply is a command whose reply has not been sent completely.
type pendingReply struct {
	cmd    []string
	from   answerer
	data   []byte // of the reply, and pushes around it, not sent yet
	filled bool   // the reply is complete
}

// outbox puts what several answerers have to say into the one order that the
// protocol allows: replies in the order of commands. They become known in any order:
//
//	commands       GET a (script)   PING (here)   SET b (upstream)
//	known as       the third        the first     the second
//	sent           all three, as soon as GET a has its reply
//
// Its methods may be called from the script, the test, and the goroutine that reads from
// upstream. They write to the client while the lock is held, so that what is sent is in
// the order in which it was decided.
type outbox struct {
	mu      sync.Mutex
	pending []*pendingReply
	ahead   int    // replies sent before their commands were read
	begun   []byte // what Write has been given of a reply that is not complete
	placed  int    // bytes of begun that a pending reply has already
}

// expect adds a command that now waits for its reply.
func (o *outbox) expect(cmd []string, from answerer) *pendingReply {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := &pendingReply{cmd: cmd, from: from}
	if o.ahead > 0 { // for the client, it has had its answer
		o.ahead--
		e.filled = true
		return e
	}
	o.pending = append(o.pending, e)
	return e
}

// answer gives one command its reply, unless it has one.
func (o *outbox) answer(nc net.Conn, e *pendingReply, v any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.filled {
		return
	}
	e.from, e.filled = fromHere, true
	e.data = append(e.data, Encode(v)...)
	o.flush(nc)
}

// write gives raw to the commands that the script answers, oldest first, one reply each. What
// is left of an unfinished reply is sent as far as it goes.
func (o *outbox) write(nc net.Conn, raw string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.begun = append(o.begun, raw...)
	for len(o.begun) > 0 {
		v, whole, err := newDecoder(strings.NewReader(string(o.begun))).next()
		n, complete := len(whole), err == nil
		if !complete {
			n = len(o.begun)
		}
		_, isPush := v.(Push)
		o.place(nc, o.begun[o.placed:n], complete && !isPush)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			o.placed = n
			return
		}
		o.begun, o.placed = o.begun[n:], 0
	}
}

// place adds a part of a reply to the oldest command of the script and sends what is
// due. Without one it is sent at once and answers a command yet to be read.
func (o *outbox) place(nc net.Conn, part []byte, last bool) {
	e := o.oldest(func(e *pendingReply) bool { return e.from == fromScript && !e.filled })
	if e == nil {
		send(nc, part)
		if last {
			o.ahead++
		}
		return
	}
	e.data = append(e.data, part...)
	e.filled = last
	o.flush(nc)
}

// upstream gives a reply of the server that commands are forwarded to its place.
// Its pushes stay behind the replies that came before them.
func (o *outbox) upstream(nc net.Conn, raw string, isPush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !isPush {
		e := o.oldest(func(e *pendingReply) bool { return e.from == fromUpstream && !e.filled })
		if e == nil {
			send(nc, []byte(raw))
			return
		}
		e.data, e.filled = append(e.data, raw...), true
		o.flush(nc)
		return
	}
	for i := len(o.pending) - 1; i >= 0; i-- {
		if e := o.pending[i]; e.from == fromUpstream && e.filled {
			e.data = append(e.data, raw...)
			return
		}
	}
	send(nc, []byte(raw))
}

// push sends a push of the script at once.
func (o *outbox) push(nc net.Conn, raw string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	send(nc, []byte(raw))
}

// upstreamCommand is the command that the next reply from upstream answers.
func (o *outbox) upstreamCommand() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.oldest(func(e *pendingReply) bool { return e.from == fromUpstream && !e.filled }); e != nil {
		return e.cmd
	}
	return nil
}

func (o *outbox) oldest(match func(*pendingReply) bool) *pendingReply {
	for _, e := range o.pending {
		if match(e) {
			return e
		}
	}
	return nil
}

// flush sends what may be sent: all of the first replies that are filled, and the
// beginning of the one after them.
func (o *outbox) flush(nc net.Conn) {
	for len(o.pending) > 0 {
		e := o.pending[0]
		send(nc, e.data)
		e.data = nil
		if !e.filled {
			return
		}
		o.pending = o.pending[1:]
	}
}

// send writes to the client. A client that has gone is none of the script's
// business: its next read tells.
func send(nc net.Conn, b []byte) {
	if len(b) == 0 {
		return
	}
	_ = nc.SetWriteDeadline(time.Now().Add(stepWithin))
	_, _ = nc.Write(b)
}

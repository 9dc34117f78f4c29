package cache

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// wire is the tracked connection of one instance, cut open so that a test
// decides when the instance takes its next message. It is two proxies in a
// row: the far one, next to Redis, notes what is sent about the key of the play
// as soon as it is sent; the near one holds it back. All else passes, as far as
// it does not have to wait behind what is held.
type wire struct {
	near, far *testkit.Script

	passing chan struct{} // hands one permit to the near proxy
	noted   chan struct{} // told of each message that was noted

	mu     sync.Mutex
	key    string        // of the play; "" while nothing is held
	client *testkit.Conn // the near connection that reads tracked, nil after a cut
	server *testkit.Conn // the far one
	sent   []string      // noted and not taken, as on the wire
	freed  chan struct{} // closed when what is held has to pass
}

func newWire(t *testing.T, srv *testkit.RedisServer) *wire {
	w := &wire{passing: make(chan struct{}), noted: make(chan struct{}, 1), freed: make(chan struct{})}
	w.far = testkit.ScriptedRedis(t, func(c *testkit.Conn) { w.forward(c, srv.Addr(), &w.server, w.note) })
	w.near = testkit.ScriptedRedis(t, func(c *testkit.Conn) { w.forward(c, w.far.Addr(), &w.client, w.hold) })
	return w
}

// forward passes a connection on. Should it turn out to be the one that reads
// tracked, it is kept in place. about is called with each reply to a tracked
// read and each invalidation, before it passes.
func (w *wire) forward(c *testkit.Conn, to string, place **testkit.Conn, about func(c *testkit.Conn, key, raw string)) {
	asked := "" // by the transaction whose replies pass
	c.Forward(testkit.Forwarding{
		To: to,
		Command: func(cmd []string) bool {
			if len(cmd) > 1 && strings.EqualFold(cmd[0], "CLIENT") && strings.EqualFold(cmd[1], "TRACKING") {
				w.mu.Lock()
				defer w.mu.Unlock()
				*place = c
			}
			return false
		},
		Reply: func(cmd []string, raw string) string {
			switch {
			case len(cmd) == 2 && cmd[0] == "GET":
				asked = cmd[1]
			case len(cmd) == 1 && cmd[0] == "EXEC":
				about(c, asked, raw)
			}
			return raw
		},
		Push: func(p testkit.Push, raw string) string {
			if keys, ok := p[len(p)-1].([]any); ok && len(keys) == 1 {
				about(c, fmt.Sprint(keys[0]), raw)
			}
			return raw
		},
	})
}

// note is the far proxy's.
func (w *wire) note(c *testkit.Conn, key, raw string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c != w.server || key != w.key {
		return
	}
	w.sent = append(w.sent, raw)
	select {
	case w.noted <- struct{}{}:
	default:
	}
}

// hold is the near proxy's.
func (w *wire) hold(c *testkit.Conn, key, _ string) {
	w.mu.Lock()
	held, freed := c == w.client && key == w.key, w.freed
	w.mu.Unlock()
	if !held {
		return
	}
	select {
	case <-w.passing:
	case <-freed:
	}
}

// begin holds back all that is sent about key from now on.
func (w *wire) begin(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key, w.sent, w.freed = key, nil, make(chan struct{})
}

// end lets everything pass.
func (w *wire) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.key != "" {
		w.key, w.sent = "", nil
		close(w.freed)
	}
}

// take lets the instance have its next message.
func (w *wire) take() error {
	w.mu.Lock()
	w.sent = w.sent[1:]
	w.mu.Unlock()
	select {
	case w.passing <- struct{}{}:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("a message that Redis has sent does not arrive at the instance")
	}
}

// cut breaks the connection with all that is on it.
func (w *wire) cut() {
	w.mu.Lock()
	c, freed := w.client, w.freed
	w.client, w.server, w.sent = nil, nil, nil
	w.freed = make(chan struct{})
	w.mu.Unlock()
	c.Close() // first: what is held has to be lost
	close(freed)
}

// await waits until Redis has sent n messages that are not taken yet, and
// returns these; unless gone tells earlier that they will not come.
func (w *wire) await(n int, gone func() error) ([]string, error) {
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		sent := append([]string(nil), w.sent...)
		w.mu.Unlock()
		if len(sent) >= n {
			return sent, nil
		}
		if err := gone(); err != nil {
			return sent, err
		}
		select {
		case <-w.noted:
		case <-deadline:
			return sent, fmt.Errorf("Redis has sent %q, want %d messages", sent, n)
		}
	}
}

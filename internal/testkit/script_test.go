package testkit_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/testkit"
)

// recorder is a testing.TB that keeps the errors of a script instead of failing.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.errors, "\n")
}

// send writes commands, receive reads n values; both end the test on errors.
func send(t *testing.T, c *testkit.RedisConn, commands ...string) {
	t.Helper()
	for _, cmd := range commands {
		if err := c.Send(strings.Fields(cmd)...); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, c *testkit.RedisConn, n int) []any {
	t.Helper()
	all := make([]any, n)
	for i := range all {
		var err error
		if all[i], err = c.Receive(); err != nil {
			t.Fatalf("reading value %d: %v", i+1, err)
		}
	}
	return all
}

func TestScriptHoldsRepliesAndKeepsTheirOrder(t *testing.T) {
	t.Parallel()
	s := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Handshake()
		c.Expect("get", "a")
		c.Expect("SET", "b", testkit.Any) // a PING comes before it
		c.Push("invalidate", []any{"a"})
		c.Reply("first")
		c.Write("+O")
		c.Write("K\r\n$1\r\nx\r\n")
		c.Expect("GET", "c")
	})
	c := testkit.DialRedis(t, s.Addr())
	if hello, ok := c.Do("HELLO", "3").(testkit.Map); !ok || hello[3] != "7.0.15" {
		t.Errorf("HELLO answers %v", hello)
	}
	send(t, c, "GET a", "PING", "SET b 1", "GET c")
	want := []any{testkit.Push{"invalidate", []any{"a"}}, "first", "PONG", "OK", "x"}
	if diff := cmp.Diff(want, receive(t, c, len(want))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := c.Do("PING"); got != "PONG" {
		t.Errorf("after the script's end PING answers %v", got)
	}
}

func TestScriptReportsAStepOutOfTurn(t *testing.T) {
	t.Parallel()
	f := func(want string, script func(c *testkit.Conn), commands ...string) {
		t.Helper()
		r := &recorder{TB: t}
		s := testkit.ScriptedRedis(r, script)
		c := testkit.DialRedis(t, s.Addr())
		send(t, c, commands...)
		if v, err := c.Receive(); err == nil {
			t.Errorf("%q: answered %v, want a closed connection", commands, v)
		}
		s.Close()
		if got := r.all(); !strings.Contains(got, want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%q: reported %q, want %q", commands, got, want)
		}
	}
	f(`connection 1: expecting ["GET" "a"]: the client sent ["GET" "b"]`,
		func(c *testkit.Conn) { c.Expect("GET", "a") }, "GET b")
	f(`serving: the script has no answer to ["DEL" "k"]`, func(*testkit.Conn) {}, "DEL k")
	f(``, func(c *testkit.Conn) { c.Expect("GET", "a"); c.Reset() }, "GET a")
}

func TestScriptReadAndServe(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	s := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		if c.ID == 2 {
			c.Serve(func(cmd []string) (any, bool) { return cmd, cmd[0] == "ECHO" })
			return
		}
		for cmd := c.Read(); cmd != nil; cmd = c.Read() {
			c.Reply(len(cmd))
		}
		close(closed)
	})
	one := testkit.DialRedis(t, s.Addr())
	if got := one.Do("A", "b", "c"); got != int64(3) {
		t.Errorf("got %v, want 3", got)
	}
	one.Close()
	<-closed
	two := testkit.DialRedis(t, s.Addr())
	if diff := cmp.Diff(any([]any{"ECHO", "x"}), two.Do("ECHO", "x")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := two.Do("SELECT", "1"); got != "OK" {
		t.Errorf("SELECT answers %v, want OK", got)
	}
	if got := s.Conn(2).ID; got != 2 {
		t.Errorf("the second connection has the number %d", got)
	}
}

func TestForwardOverridesAndHolds(t *testing.T) {
	t.Parallel()
	real := testkit.Redis(t)
	real.Do("SET", "k", "v1")
	release, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Forward(testkit.Forwarding{
			To: real.Addr(),
			Command: func(cmd []string) bool {
				if cmd[0] != "TIME" {
					return false
				}
				c.Reply([]string{"1", "2"})
				return true
			},
			Reply: func(cmd []string, raw string) string {
				if cmd[0] == "GET" {
					once.Do(func() { close(held) })
					<-release
				}
				return strings.ReplaceAll(raw, "v1", "w1")
			},
			Push: func(push testkit.Push, raw string) string {
				if push[0] != "invalidate" {
					return ""
				}
				return raw
			},
		})
	})
	c := testkit.DialRedis(t, s.Addr())
	c.Do("HELLO", "3")
	c.Do("CLIENT", "TRACKING", "ON")
	send(t, c, "GET k", "TIME", "ECHO x")
	<-held                   // the server has read v1, the client has not
	real.Do("SET", "k", "2") // so this invalidates what is on its way
	close(release)
	// Redis may have run ECHO before the SET or after it.
	got := fmt.Sprint(receive(t, c, 4))
	switch got {
	case "[w1 [1 2] x [invalidate [k]]]", "[w1 [1 2] [invalidate [k]] x]":
	default:
		t.Errorf("got %s, want the replies in order and the push behind the first two", got)
	}
}

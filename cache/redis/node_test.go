package redis

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/internal/testkit"
)

// TestAServerThatHangsUp: it answers the handshake, and ends each connection at the first
// command after that. It is dialled once a round, not as fast as it hangs up.
func TestAServerThatHangsUp(t *testing.T) {
	t.Parallel()
	var dialled atomic.Int64
	s := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		dialled.Add(1)
		c.Handshake()
		for {
			cmd := c.Read()
			if cmd == nil || cmd[0] != "INFO" {
				c.Close()
				return
			}
			c.Reply("redis_version:7.0.15\r\nrun_id:a\r\nrole:master\r\n")
		}
	})
	c := Config{URL: s.URL(), LinkTimeout: 400 * time.Millisecond, Lease: time.Second, Revalidate: time.Minute, Log: slog.New(slog.DiscardHandler)}
	tier, err := New(c, memory.New(memory.Config{Budget: 1 << 20, LinkTimeout: c.LinkTimeout}), &probing{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := tier.Open(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, "it is dialled again and again", func() bool { return dialled.Load() > 12 })
	tier.Close()
	rounds := int64(time.Since(began)/(c.LinkTimeout/4)) + 1
	if n := dialled.Load(); n > 3*rounds+3 {
		t.Errorf("it was dialled %d times in %d rounds", n, rounds)
	}
	if tier.Up() == nil {
		t.Error("it counts as one that can be asked")
	}
}

// probing are reads that do what a link asks of them.
type probing struct{ told }

func (p *probing) Probe(_ string, read func() error) (*memory.Owner, bool, error) {
	err := read()
	return nil, true, err
}

package load

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"hearth/bench/report"
	"hearth/internal/testkit"
)

// Counts are what a client was answered, in numbers.
type Counts struct {
	OK       [Tiers]int64     // answers with 200
	Absent   int64            // 404
	Unstored int64            // of both, those that came with a load that Redis did not take
	Refused  report.Latencies // 503 with Retry-After: come again
	Failed   int64            // any other 5xx
	Times    report.Latencies // of all
}

// Merge adds what another client was answered.
func (t *Counts) Merge(o *Counts) {
	for i, n := range o.OK {
		t.OK[i] += n
	}
	t.Unstored += o.Unstored
	t.Absent += o.Absent
	t.Refused.Merge(&o.Refused)
	t.Failed += o.Failed
	t.Times.Merge(&o.Times)
}

// Found is how many answers had a record.
func (t *Counts) Found() (n int64) {
	for _, k := range t.OK {
		n += k
	}
	return n
}

// String tells where answers came from, and of those that had no record.
func (t *Counts) String() string {
	text := ""
	for i, n := range t.OK {
		if n > 0 {
			text += fmt.Sprintf("%d %s, ", n, TierNames[i])
		}
	}
	text += fmt.Sprintf("%d refused, %d failed", t.Refused.N, t.Failed)
	if t.Absent > 0 {
		text += fmt.Sprintf(", %d absent", t.Absent)
	}
	return text
}

// Client asks one instance over a connection of its own. It is used by one goroutine
// at a time.
type Client struct {
	*Conn
	Instance int // that it asks
	Number   int // among the clients
	Rand     *rand.Rand
	Counts
}

// Ask gets a path and counts the answer. An answer that nothing here provokes is an
// error.
func (c *Client) Ask(path string) error { return c.count(http.MethodGet, path, "") }

// Put stores a JSON body and counts the answer, likewise.
func (c *Client) Put(path, body string) error { return c.count(http.MethodPut, path, body) }

func (c *Client) count(method, path, body string) error {
	sent := time.Now()
	if err := c.Do(method, path, body); err != nil {
		return fmt.Errorf("%s %s on instance %d: %w", method, path, c.Instance+1, err)
	}
	elapsed := time.Since(sent)
	c.Times.Add(elapsed)
	status := c.Status()
	from := TierOf(status)
	if from == Source && len(status) > 0 && !bytes.Contains(status, []byte("; stored")) {
		c.Unstored++
	}
	switch code := c.Answer.StatusCode(); {
	case code == http.StatusOK:
		c.OK[from]++
	case code == http.StatusNotFound:
		c.Absent++
	case code == http.StatusServiceUnavailable && len(c.Answer.Header.Peek("Retry-After")) > 0:
		c.Refused.Add(elapsed)
	case code >= http.StatusInternalServerError:
		c.Failed++
	default:
		return fmt.Errorf("instance %d answers %d: %q", c.Instance+1, code, c.Answer.Body())
	}
	return nil
}

// Clients are connected to all instances, equally many to each.
type Clients []*Client

// Connect connects per clients to each of the addresses. seed chooses what they ask
// for. Their connections end with tb.
func Connect(tb testkit.TB, addrs []string, per int, seed uint64) Clients {
	all := make(Clients, 0, per*len(addrs))
	tb.Cleanup(func() { all.Close() })
	for n := range per * len(addrs) {
		instance := n % len(addrs)
		c := NewConn(addrs[instance], AnswerWithin)
		all = append(all, &Client{Conn: c, Instance: instance, Number: n, Rand: rand.New(rand.NewPCG(seed, uint64(n)))})
		if err := c.Open(); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// Close ends all connections.
func (all Clients) Close() {
	for _, c := range all {
		c.Conn.Close()
	}
}

// Each runs ask in all clients at the same time, each in a goroutine of its own, and
// ends tb with the first error. The context ends with it; a client that waits for an
// answer does not look at the context.
func (all Clients) Each(tb testkit.TB, ask func(ctx context.Context, c *Client) error) {
	if err := all.each(tb.Context(), ask); err != nil {
		tb.Fatal(err)
	}
}

func (all Clients) each(ctx context.Context, ask func(ctx context.Context, c *Client) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var running sync.WaitGroup
	var once sync.Once
	var first error
	for _, c := range all {
		running.Go(func() {
			if err := ask(ctx, c); err != nil {
				once.Do(func() { first = err })
				fail(err)
			}
		})
	}
	running.Wait()
	return first
}

// Begin is Each meanwhile: until the function that it returns is called, which ends the
// context and waits for all.
func (all Clients) Begin(tb testkit.TB, ask func(ctx context.Context, c *Client) error) (end func()) {
	return testkit.Meanwhile(tb, func(ctx context.Context) error { return all.each(ctx, ask) })
}

// Total is what all were answered since the last Total. No client may be asking.
func (all Clients) Total() *Counts {
	sum := &Counts{}
	for _, c := range all {
		sum.Merge(&c.Counts)
		c.Counts = Counts{}
	}
	return sum
}

// Together lets all clients ask at the same moment, each for its path, and returns how
// many of the records that they were given differ from the first.
func (all Clients) Together(tb testkit.TB, path func(c *Client) string) (different int) {
	var ready atomic.Int64
	start := make(chan struct{}) // closed by the last client that is ready
	all.Each(tb, func(_ context.Context, c *Client) error {
		if ready.Add(1) == int64(len(all)) {
			close(start)
		}
		<-start
		return c.Ask(path(c))
	})
	for _, c := range all {
		if !bytes.Equal(recordIn(c.Answer.Body()), recordIn(all[0].Answer.Body())) {
			different++
		}
	}
	return different
}

// Warm reads paths on every instance until memory has them all, and forgets how.
func (all Clients) Warm(tb testkit.TB, paths []string) {
	ends := time.Now().Add(time.Minute)
	all.Each(tb, func(ctx context.Context, c *Client) error {
		if c.Number != c.Instance { // the first client of each instance is enough
			return nil
		}
		for left := paths; len(left) > 0; {
			before := c.OK[Memory]
			if err := c.Ask(left[0]); err != nil {
				return err
			}
			if c.OK[Memory] > before {
				left = left[1:]
			} else if !testkit.Sleep(ctx, time.Millisecond) || time.Now().After(ends) {
				return fmt.Errorf("reading %s on instance %d until it is in memory: it is not", left[0], c.Instance+1)
			}
		}
		return nil
	})
	all.Total()
}

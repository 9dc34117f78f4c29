package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// How the items of a batch reach Redis, and what is said of each when some do not.

// batchOf are n items of the test's own, and the key of the i-th.
func batchOf(t *testing.T, n int) (items []Item, key func(i int) string) {
	key = func(i int) string { return keyOf(t, i) }
	for i := range n {
		items = append(items, Item{Key: key(i), Value: fmt.Appendf(nil, `{"id":%d}`, i)})
	}
	return items, key
}

// calls is how often Redis has run a command, and refused to.
func calls(srv *testkit.RedisServer, command string) (run, rejected int) {
	_, line, found := strings.Cut(srv.Text("INFO", "commandstats"), "cmdstat_"+command+":")
	if !found {
		return 0, 0
	}
	line, _, _ = strings.Cut(line, "\r\n")
	for _, part := range strings.Split(line, ",") {
		_, _ = fmt.Sscanf(part, "calls=%d", &run)
		_, _ = fmt.Sscanf(part, "rejected_calls=%d", &rejected)
	}
	return run, rejected
}

// TestABatchIsFewCommands: items without a lifetime go together, those with one each by
// itself. Redis has them all, and what stood there before.
func TestABatchIsFewCommands(t *testing.T) {
	srv := testkit.Redis(t)
	c := openRedis(t, srv)
	items, key := batchOf(t, 600)
	if errs := c.Store(within(t), items, 0); errs != nil {
		t.Fatal(errs)
	}
	if run, _ := calls(srv, "mset"); run != 3 {
		t.Errorf("600 items were stored by %d MSETs, want 3", run)
	}
	for _, i := range []int{0, 255, 256, 511, 512, 599} {
		fixture{c, t, key(i)}.want(fmt.Sprintf(`{"id":%d}`, i))
	}
	if errs := c.Store(within(t), items, time.Hour); errs != nil {
		t.Fatal(errs)
	}
	for i := range items {
		if ttl := srv.Int("PTTL", key(i)); ttl <= 3_500_000 || ttl > 3_600_000 {
			t.Fatalf("item %d lives for %d ms, want an hour", i, ttl)
		}
	}
	if errs := c.Store(within(t), items[:2], 0); errs != nil || srv.Int("PTTL", key(1)) != -1 || srv.Int("PTTL", key(2)) == -1 {
		t.Errorf("stored again without a lifetime: %v; two of the items have none then", errs)
	}
	if run, _ := calls(srv, "mset"); run != 4 {
		t.Errorf("items with lifetimes were stored by MSET: it ran %d times, want 4", run)
	}
}

// TestABatchRefusedInPart: Redis refuses an MSET for one of its keys. All other items are
// stored, also those of the same MSET.
func TestABatchRefusedInPart(t *testing.T) {
	srv := testkit.Redis(t)
	items, key := batchOf(t, 300)
	srv.Do("ACL", "SETUSER", "hearth", "on", ">secret", "resetkeys", "~hearth:*", "~"+key(1)+"*", "~"+key(2)+"*", "+@all")
	var book logBook
	c := open(t, testConfig(), func(s *setup) {
		s.Redis.URL = "redis://hearth:secret@" + srv.Addr()
		s.Log = slog.New(slog.NewTextHandler(&book, nil))
	})
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	for _, ttl := range []time.Duration{0, time.Hour} {
		srv.Do("FLUSHALL")
		errs := c.Store(within(t), items, ttl)
		if len(errs) != len(items) {
			t.Fatalf("got %d errors, want one place for each item", len(errs))
		}
		for i, err := range errs {
			refused := !strings.HasPrefix(key(i), key(1)) && !strings.HasPrefix(key(i), key(2))
			if stored := srv.Int("EXISTS", key(i)) == 1; stored == refused || errors.Is(err, ErrRefused) != refused {
				t.Fatalf("item %d with a lifetime of %v: stored %v, error %v; want it refused: %v", i, ttl, stored, err, refused)
			}
		}
	}
	if book.count("+mset") != 0 {
		t.Errorf("a key is refused, and the log has: %s", book.text.String())
	}
}

// TestABatchWithoutMSET: an account that may not run it stores batches all the same, and
// is asked once for each connection.
func TestABatchWithoutMSET(t *testing.T) {
	srv := testkit.Redis(t)
	srv.Do("ACL", "SETUSER", "hearth", "on", ">secret", "~*", "+@all", "-mset")
	var book logBook
	c := open(t, testConfig(), func(s *setup) {
		s.Redis.URL = "redis://hearth:secret@" + srv.Addr()
		s.Log = slog.New(slog.NewTextHandler(&book, nil))
	})
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	items, key := batchOf(t, 300)
	for range 3 {
		srv.Do("DEL", key(0))
		if errs := c.Store(within(t), items, 0); errs != nil || srv.Int("EXISTS", key(0), key(299)) != 2 {
			t.Errorf("got %v, want all stored", errs)
		}
	}
	if _, rejected := calls(srv, "mset"); rejected != 2 || book.count("+mset") != 1 {
		t.Errorf("MSET was tried %d times, want 2, both of the first batch; the log: %s", rejected, book.text.String())
	}
}

// TestABatchMeetsAFullRedis: an MSET is refused as a whole. SETs tell what there is room for.
func TestABatchMeetsAFullRedis(t *testing.T) {
	srv := testkit.Redis(t)
	items, key := batchOf(t, 10)
	full := []string{key(3), key(7)}
	front := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Forward(testkit.Forwarding{To: srv.Addr(), Command: func(cmd []string) bool {
			if cmd[0] == "MSET" || cmd[0] == "SET" && slices.Contains(full, cmd[1]) {
				c.Write("-OOM command not allowed when used memory > 'maxmemory'.\r\n")
				return true
			}
			return false
		}})
	})
	cfg := testConfig()
	cfg.Redis.URL = front.URL()
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	errs := c.Store(within(t), items, 0)
	if len(errs) != len(items) {
		t.Fatalf("got %v", errs)
	}
	for i, err := range errs {
		refused := slices.Contains(full, key(i))
		if stored := srv.Int("EXISTS", key(i)) == 1; stored == refused || errors.Is(err, ErrUnavailable) != refused {
			t.Errorf("item %d: stored %v, error %v; want it refused: %v", i, stored, err, refused)
		}
	}
}

// TestABatchThatBreaksOff: the connection ends behind an MSET that Redis has run. Nobody
// can know, so each item counts as not acknowledged; none is sent twice.
func TestABatchThatBreaksOff(t *testing.T) {
	srv := testkit.Redis(t)
	front := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Forward(testkit.Forwarding{To: srv.Addr(), Reply: func(cmd []string, raw string) string {
			if cmd[0] == "MSET" {
				c.Reset()
			}
			return raw
		}})
	})
	cfg := testConfig()
	cfg.Redis.URL = front.URL()
	c := open(t, cfg)
	testkit.Eventually(t, patience, "Redis is reached", func() bool { return c.Up() == nil })
	items, key := batchOf(t, 10)
	errs := c.Store(within(t), items, 0)
	for i := range items {
		if len(errs) != len(items) || !errors.Is(errs[i], ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable for each", errs)
		}
	}
	if run, _ := calls(srv, "mset"); run != 1 || srv.Int("EXISTS", key(9)) != 1 {
		t.Errorf("MSET ran %d times, want once", run)
	}
	testkit.Eventually(t, patience, "Redis is reached again", func() bool { return c.Up() == nil })
}

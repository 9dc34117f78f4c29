package limit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// storeChoice decides which store counts: that of the fleet, or this instance's own
// while the other is away. It changes at the end of a window only, for a window in
// which both counted could admit what both allow. A window longer than a second is too
// long to refuse everybody for: then counting here begins after a second.
//
//	fleet ──wentAway──► none ──window over──► local ──cameBack, window over──► fleet
type storeChoice struct {
	cfg Config

	mu    sync.Mutex
	away  bool
	from  int64 // when counting here begins; while away
	until int64 // … and ends; 0: the store has not answered since
}

// current returns which store counts at now, and by which rate. store is nil while
// none does, until from.
func (c *storeChoice) current(now int64) (store Store, rate Rate, burst int, from int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away && c.until != 0 && now >= c.until {
		c.away = false
	}
	switch {
	case !c.away:
		return c.cfg.Store, c.cfg.Rate, c.cfg.Burst, 0
	case now < c.from:
		return nil, Rate{}, 0, c.from
	}
	return c.cfg.Local, c.cfg.LocalRate, c.cfg.LocalRate.Count, 0
}

// wentAway notes that the store could not be asked, and returns when decisions are
// made again.
func (c *storeChoice) wentAway(now int64, err error) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.away {
		c.away = true
		c.from = now + int64(min(untilWindowEnds(c.cfg.Rate.Window), time.Second))
		c.log(slog.LevelWarn, "the shared tier does not count; each instance limits by local_rate", slog.Any("error", err))
	}
	c.until = 0
	return c.from
}

// cameBack notes that the store answers again.
func (c *storeChoice) cameBack(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away && c.until == 0 {
		c.until = max(c.from, now) + int64(untilWindowEnds(c.cfg.LocalRate.Window))
		c.log(slog.LevelInfo, "the shared tier counts again")
	}
}

// isAway tells whether the store has to be probed.
func (c *storeChoice) isAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away && c.until == 0
}

func (c *storeChoice) log(level slog.Level, message string, attrs ...slog.Attr) {
	if c.cfg.Log != nil {
		c.cfg.Log.LogAttrs(context.Background(), level, message, append(attrs, slog.String("limit", c.cfg.Name))...)
	}
}

// untilWindowEnds is the time until the present window ends, by this machine's clock.
func untilWindowEnds(window time.Duration) time.Duration {
	return window - time.Duration(time.Now().UnixNano()%int64(window))
}

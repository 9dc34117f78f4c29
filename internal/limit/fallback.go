package limit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// fallback decides who counts: the store, or this instance by itself while the
// store is away. Changes take effect at the edge of a window, for a window in
// which both count could admit what both allow. A window longer than a second
// is too long to refuse everybody for: then counting here begins after a
// second.
type fallback struct {
	cfg    Config
	memory *LocalStore

	mu    sync.Mutex
	away  bool
	from  int64 // counting here begins; while away
	until int64 // … and ends; 0: the store has not answered since
}

func (f *fallback) init(cfg Config) {
	f.cfg, f.memory = cfg, cfg.Local
	if cfg.Store == nil {
		f.cfg.Store = f.memory
	}
}

// counting returns who counts at clock time now, and by which rate. store is
// nil while nobody does, until from.
func (f *fallback) counting(now int64) (store Store, rate Rate, burst int, from int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away && f.until != 0 && now >= f.until {
		f.away = false
	}
	switch {
	case !f.away:
		return f.cfg.Store, f.cfg.Rate, f.cfg.Burst, 0
	case now < f.from:
		return nil, Rate{}, 0, f.from
	}
	return f.memory, f.cfg.LocalRate, f.cfg.LocalRate.Count, 0
}

// lost notes that the store could not be asked, and returns when decisions are
// made again.
func (f *fallback) lost(now int64, err error) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.away {
		f.away, f.until = true, 0
		f.from = now + int64(min(edge(f.cfg.Rate.Window), time.Second))
		f.log(slog.LevelWarn, "the shared tier does not count; each instance limits by local_rate", slog.Any("error", err))
	}
	f.until = 0
	return f.from
}

// found notes that the store answers again.
func (f *fallback) found(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away && f.until == 0 {
		f.until = max(f.from, now) + int64(edge(f.cfg.LocalRate.Window))
		f.log(slog.LevelInfo, "the shared tier counts again")
	}
}

// isAway tells whether the store has to be looked for.
func (f *fallback) isAway() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away && f.until == 0
}

func (f *fallback) log(level slog.Level, message string, attrs ...slog.Attr) {
	if f.cfg.Log != nil {
		f.cfg.Log.LogAttrs(context.Background(), level, message, append(attrs, slog.String("limit", f.cfg.Name))...)
	}
}

// edge is the time until the present window ends, by this machine's clock.
func edge(window time.Duration) time.Duration {
	return window - time.Duration(time.Now().UnixNano()%int64(window))
}

package limit

import (
	"context"
	"sync"
	"time"
)

// Memory is a Store for one process: what counts where there is no shared tier,
// or while it is away. Its windows are aligned to the machine's clock as it was
// when the Memory was made; later steps of that clock do not move them.
type Memory struct {
	began time.Time

	mu     sync.Mutex
	counts map[string]*tally
	purged int64 // when stale tallies were last removed, unix ms
}

// tally is one key's count in its latest window.
type tally struct {
	window int64
	used   int
	ends   int64 // unix ms
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{began: time.Now(), counts: map[string]*tally{}} }

// ms is the time as the Memory sees it: unix milliseconds that never step.
func (m *Memory) ms() int64 { return m.began.UnixMilli() + time.Since(m.began).Milliseconds() }

// TakeTokens implements Store.
func (m *Memory) TakeTokens(_ context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, size := m.ms(), rate.Window.Milliseconds()
	m.purge(now)
	window := now / size
	t := m.counts[key]
	if t == nil || t.window != window {
		t = &tally{window: window, ends: (window + 1) * size}
		if want > 0 {
			m.counts[key] = t
		}
	}
	tokens, rest, wait := Share(rate, burst, t.used, want, now-window*size)
	t.used += tokens
	return Grant{
		Tokens: tokens, Window: window, Left: time.Duration(t.ends-now) * time.Millisecond,
		Rest: rest, Wait: time.Duration(wait) * time.Millisecond, Alone: true,
	}, nil
}

// ReturnTokens implements Store.
func (m *Memory) ReturnTokens(_ context.Context, key string, _ Rate, window int64, tokens int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.counts[key]; t != nil && t.window == window {
		t.used = max(0, t.used-tokens)
	}
	return nil
}

// purge removes tallies of windows that are over, once a second at most.
func (m *Memory) purge(now int64) {
	if now-m.purged < 1000 {
		return
	}
	m.purged = now
	for key, t := range m.counts {
		if now >= t.ends {
			delete(m.counts, key)
		}
	}
}

// Share is the arithmetic of a window, which the script in the shared tier does
// likewise: of want tokens, how many are granted into milliseconds after the
// window's begin when used are taken already; how many are left then; and, if
// none is granted, after how many milliseconds one may be.
//
// burst may be taken at once, the rest of the count is released evenly over the
// window. One request gets no more than half of what is free, so that near the
// limit chunks shrink and nobody holds what others need.
func Share(rate Rate, burst, used, want int, into int64) (tokens, rest int, wait int64) {
	size := rate.Window.Milliseconds()
	released := min(int64(rate.Count), int64(burst)+int64(rate.Count)*into/size)
	free := int(released) - used
	if free <= 0 {
		wait = size - into
		if used < rate.Count {
			// The moment when released reaches used + 1, rounded up.
			need := int64(used+1-burst)*size + int64(rate.Count) - 1
			wait = max(1, min(wait, need/int64(rate.Count)-into))
		}
		return 0, max(0, rate.Count-used), wait
	}
	tokens = min(want, max(1, free/2))
	return tokens, rate.Count - used - tokens, 0
}

package limit

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"hearth/internal/budget"
)

// LocalStore is a Store for one process: it counts where there is no shared tier, or
// while that is away. Its windows are aligned to the machine's clock as it was when the
// LocalStore was made; later steps of that clock do not move them. It is safe for
// concurrent use.
//
// A count is never forgotten before its window is over, or its subject could begin anew.
// So without budget for the count of one subject more, that subject shares the common
// count with all others in its place. Subjects that have a count go on undisturbed. All
// counts of a window end together, and so does the memory they take, but for that of
// returning subjects.
type LocalStore struct {
	began  time.Time
	budget *budget.Budget
	seeds  [2]maphash.Seed

	mu        sync.Mutex
	windows   map[int64]*windowCounts // by the length of their windows, ms
	expiredAt int64                   // when windows that are over were last looked for, unix ms
}

// windowCounts has the counts of one window.
type windowCounts struct {
	window    int64
	ends      int64 // unix ms
	used      map[subjectID]int
	returning returning
	common    map[string]*commonCount // by limit
	bytes     int64                   // of the budget
}

// subjectID stands for a key: 128 bits by seeds that are known to this process only.
type subjectID [2]uint64

// countBytes is what one count takes in a map, at the worst.
const countBytes = 64

// defaultBudget is for callers that do not say how much memory may be used.
const defaultBudget = 32 << 20

// NewLocalStore returns an empty LocalStore that takes the memory for its counts from b;
// nil means a budget of its own.
func NewLocalStore(b *budget.Budget) *LocalStore {
	if b == nil {
		b = budget.New(defaultBudget)
	}
	return &LocalStore{
		began: time.Now(), budget: b, windows: map[int64]*windowCounts{},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// ms is the time as the store sees it: unix milliseconds that never step.
func (s *LocalStore) ms() int64 { return s.began.UnixMilli() + time.Since(s.began).Milliseconds() }

func (s *LocalStore) idOf(key string) subjectID {
	return subjectID{maphash.String(s.seeds[0], key), maphash.String(s.seeds[1], key)}
}

// TakePermits implements Store. It does not fail.
func (s *LocalStore) TakePermits(_ context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	id := s.idOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now, size := s.ms(), rate.Window.Milliseconds()
	w := s.windowOf(now, size)
	g := Grant{Window: w.window, Left: time.Duration(w.ends-now) * time.Millisecond, Exclusive: true}
	into := now - w.window*size
	limit, subject := splitKey(key)
	used, counted := w.used[id]
	if !counted && want > 0 {
		common := w.common[limit]
		if !s.reserve(w, id, subject, now) {
			permits, wait := s.commonOf(w, limit).take(id, rate, burst, into)
			g.Permits, g.Wait, g.Common, g.Exclusive = permits, time.Duration(wait)*time.Millisecond, true, false
			return g, nil
		}
		if common != nil {
			used = common.admittedTo(id)
		}
	}
	permits, remaining, wait := share(rate, burst, used, want, into)
	if want > 0 {
		w.used[id] = used + permits
	}
	g.Permits, g.Remaining, g.Wait = permits, remaining, time.Duration(wait)*time.Millisecond
	return g, nil
}

// reserve takes the bytes of one count more. Without a subject the limit has but one
// count, which is never the common one: a limit that counts all requests together, and
// the requests without the header by which a limit counts.
func (s *LocalStore) reserve(w *windowCounts, id subjectID, subject string, now int64) bool {
	switch {
	case w.returning.admit(id): // it has its bytes already
		return true
	case subject == "":
		s.budget.Overdraw(countBytes)
	case s.budget.Take(countBytes):
	default:
		return w.returning.displace(w.ends - now)
	}
	w.bytes += countBytes
	return true
}

// commonOf returns the common count of a limit, of which there is one at most.
func (s *LocalStore) commonOf(w *windowCounts, limit string) *commonCount {
	c := w.common[limit]
	if c == nil {
		if w.common == nil {
			w.common = map[string]*commonCount{}
		}
		s.budget.Overdraw(commonBytes)
		w.bytes += commonBytes
		c = &commonCount{}
		w.common[limit] = c
	}
	return c
}

// windowOf returns the counts of the window that now falls into. Those of an earlier
// window are dropped as a whole.
func (s *LocalStore) windowOf(now, size int64) *windowCounts {
	s.expireLocked(now)
	w := s.windows[size]
	if w == nil || now >= w.ends {
		w = s.nextWindow(w, now, size)
	}
	return w
}

// nextWindow begins a new window, and drops the one before.
func (s *LocalStore) nextWindow(old *windowCounts, now, size int64) *windowCounts {
	window := now / size
	w := &windowCounts{window: window, ends: (window + 1) * size, used: map[subjectID]int{}}
	if old != nil {
		if old.window == window-1 && s.budget.Taken() > s.budget.Size()/2 {
			w.returning = returningFrom(old.used, size)
			w.bytes = countBytes * int64(len(w.returning.ids))
		}
		s.budget.Return(old.bytes - w.bytes)
	}
	s.windows[size] = w
	return w
}

// ReturnPermits implements Store. It does not fail.
func (s *LocalStore) ReturnPermits(_ context.Context, key string, rate Rate, window int64, permits int) error {
	id := s.idOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.windows[rate.Window.Milliseconds()]; w != nil && w.window == window {
		if used, ok := w.used[id]; ok {
			w.used[id] = max(0, used-permits)
		}
	}
	return nil
}

// expire returns the bytes of windows that are over, also if their limits are not asked
// any more.
func (s *LocalStore) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireLocked(s.ms())
}

// expireLocked does so once a second at most.
func (s *LocalStore) expireLocked(now int64) {
	if now-s.expiredAt < 1000 {
		return
	}
	s.expiredAt = now
	for size, w := range s.windows {
		if now < w.ends {
			continue
		}
		if next := s.nextWindow(w, now, size); len(next.returning.ids) == 0 {
			delete(s.windows, size)
		}
	}
}

package limit

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"hearth/internal/budget"
)

// LocalStore is a Store for one process: what counts where there is no shared tier,
// or while it is away. Its windows are aligned to the machine's clock as it was
// when the Memory was made; later steps of that clock do not move them.
//
// A count is never forgotten before its window is over, or its subject could
// begin anew. So when there is no room for the count of one subject more, that
// subject shares a count with all others for which there is none, see overflow.
// Those that have a count go on undisturbed. All counts of a window end
// together, and so does the memory they take, but for the names of known.go.
type LocalStore struct {
	began time.Time
	room  *budget.Budget
	seeds [2]maphash.Seed

	mu     sync.Mutex
	books  map[int64]*book // by the length of their windows, ms
	looked int64           // when windows that are over were last looked for, unix ms
}

// book has the counts of one window.
type book struct {
	window int64
	ends   int64 // unix ms
	used   map[name]int
	known  known
	shared map[string]*overflow // by limit
	bytes  int64                // of room
}

// name stands for a key: 128 bits by seeds that nobody outside knows.
type name [2]uint64

// countBytes is what one count takes in a map, at the worst.
const countBytes = 64

// defaultBudget is for those who are not told how much memory they may use.
const defaultBudget = 32 << 20

// NewLocalStore returns an empty Memory that takes its room for counts from r; nil
// means one of its own.
func NewLocalStore(r *budget.Budget) *LocalStore {
	if r == nil {
		r = budget.New(defaultBudget)
	}
	return &LocalStore{
		began: time.Now(), room: r, books: map[int64]*book{},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// ms is the time as the Memory sees it: unix milliseconds that never step.
func (m *LocalStore) ms() int64 { return m.began.UnixMilli() + time.Since(m.began).Milliseconds() }

func (m *LocalStore) nameOf(key string) name {
	return name{maphash.String(m.seeds[0], key), maphash.String(m.seeds[1], key)}
}

// TakePermits implements Store.
func (m *LocalStore) TakePermits(_ context.Context, key string, rate Rate, burst, want int) (Grant, error) {
	id := m.nameOf(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	now, size := m.ms(), rate.Window.Milliseconds()
	b := m.bookOf(now, size)
	g := Grant{Window: b.window, Left: time.Duration(b.ends-now) * time.Millisecond, Exclusive: true}
	into := now - b.window*size
	limit, subject := split(key)
	used, counted := b.used[id]
	if !counted && want > 0 {
		over := b.shared[limit]
		if !m.makeRoom(b, id, subject, now) {
			m.takeShared(b, limit, id, rate, burst, into, &g)
			return g, nil
		}
		if over != nil {
			used = over.of(id)
		}
	}
	tokens, rest, wait := share(rate, burst, used, want, into)
	if want > 0 {
		b.used[id] = used + tokens
	}
	g.Permits, g.Remaining, g.Wait = tokens, rest, time.Duration(wait)*time.Millisecond
	return g, nil
}

// makeRoom takes the room for one count more. A limit that counts nothing apart
// has but one count, and requests without the header that is counted by are few
// limits' many requests: those are never shared with others.
func (m *LocalStore) makeRoom(b *book, id name, subject string, now int64) bool {
	switch {
	case b.known.take(id): // its name had room already
		return true
	case subject == "":
		m.room.Overdraw(countBytes)
	case m.room.Take(countBytes):
	default:
		return b.known.displace(b.ends - now)
	}
	b.bytes += countBytes
	return true
}

// bookOf returns the book of the window that now falls into. That of an earlier
// window is dropped as a whole.
func (m *LocalStore) bookOf(now, size int64) *book {
	m.expireLocked(now)
	b := m.books[size]
	if b == nil || now >= b.ends {
		b = m.turn(b, now, size)
	}
	return b
}

// turn begins the book of a new window, and drops the one before.
func (m *LocalStore) turn(old *book, now, size int64) *book {
	window := now / size
	b := &book{window: window, ends: (window + 1) * size, used: map[name]int{}}
	if old != nil {
		if old.window == window-1 && m.room.Taken() > m.room.Size()/2 {
			b.known = knownFrom(old.used, size)
			b.bytes = countBytes * int64(len(b.known.names))
		}
		m.room.Return(old.bytes - b.bytes)
	}
	m.books[size] = b
	return b
}

// ReturnPermits implements Store.
func (m *LocalStore) ReturnPermits(_ context.Context, key string, rate Rate, window int64, tokens int) error {
	id := m.nameOf(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.books[rate.Window.Milliseconds()]; b != nil && b.window == window {
		if used, ok := b.used[id]; ok {
			b.used[id] = max(0, used-tokens)
		}
	}
	return nil
}

// expire frees what windows that are over have taken, though nobody asks for
// them any more.
func (m *LocalStore) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked(m.ms())
}

// expireLocked does so once a second at most.
func (m *LocalStore) expireLocked(now int64) {
	if now-m.looked < 1000 {
		return
	}
	m.looked = now
	for size, b := range m.books {
		if now < b.ends {
			continue
		}
		if next := m.turn(b, now, size); len(next.known.names) == 0 {
			delete(m.books, size)
		}
	}
}

// split takes a key apart: the part that all keys of its limit begin with, and
// the subject, "" where the limit counts nothing apart.
func split(key string) (limit, subject string) {
	i := strings.LastIndexByte(key, ':') + 1
	return key[:i], strings.TrimSuffix(key[i:], "}")
}

// share is the arithmetic of a window, which the script in the shared tier does
// likewise: of want tokens, how many are granted into milliseconds after the
// window's begin when used are taken already; how many are left then; and, if
// none is granted, after how many milliseconds one may be.
//
// burst may be taken at once, the rest of the count is released evenly over the
// window. One request gets no more than half of what is free, so that near the
// limit chunks shrink and nobody holds what others need.
func share(rate Rate, burst, used, want int, into int64) (tokens, rest int, wait int64) {
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

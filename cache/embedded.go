package cache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"hearth/internal/limit"
	"hearth/internal/private"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// embedded is the shared tier when there is no Redis: one SQLite file, shared
// by nobody, locked by one process. Values, items and counters are rows;
// leases and guards are in memory only, for they have no meaning once the
// process is gone. What a guard must outlive the process for, it does by
// removing the row before the write begins.
type embedded struct {
	*limit.Memory // one process uses the file, so one process counts

	store *store
	owner *owner
	log   *slog.Logger
	lease time.Duration
	trust time.Duration
	lock  *os.File
	db    *sql.DB // reading
	read  *sql.Stmt
	work  *rowWriter

	shards [placeholderShards]placeholderShard
}

const placeholderShards = 64

// placeholderShard holds the placeholders of some keys. Whoever changes one
// and a row of the same key queues the row's change under the lock, so that
// rows change in the order of the placeholders.
type placeholderShard struct {
	mu     sync.Mutex
	held   map[string]*placeholder
	claims map[string]refreshLease // beside values that stand
}

func openEmbedded(path string, counts *limit.Memory, lease, trust time.Duration, s *store, log *slog.Logger) (*embedded, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("opening the embedded tier %q: %w", path, err)
	}
	if err := private.Create(path); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("opening the embedded tier %q (embedded.path): %w", path, err)
	}
	if private.Shared(path) {
		log.Warn("others can open the file of the embedded tier, with copies of records in it; take the rights away with chmod 600", "path", path)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"
	s.alone = true
	e := &embedded{Memory: counts, store: s, owner: s.newOwner(true), log: log, lease: lease, trust: trust, lock: lock}
	for i := range e.shards {
		e.shards[i].held = map[string]*placeholder{}
		e.shards[i].claims = map[string]refreshLease{}
	}
	if e.work, err = newRowWriter(dsn, log); err == nil {
		e.db, err = sql.Open("sqlite", dsn)
	}
	if err == nil {
		e.db.SetMaxOpenConns(4)
		e.read, err = e.db.Prepare(`SELECT value, expires FROM entries WHERE key = ?`)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("opening the embedded tier %q (embedded.path): %w", path, err)
	}
	return e, nil
}

// lockFile keeps a second process out: its memory would not hear of our writes.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, private.Mode)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errors.New("another process has it open; stop that one, give this one another embedded.path, or let both use Redis")
	}
	return f, nil
}

func (e *embedded) name() Tier { return TierEmbedded }

func (e *embedded) up() error { return nil }

func (e *embedded) close() {
	if e.work != nil {
		e.work.close()
	}
	if e.db != nil {
		if e.read != nil {
			_ = e.read.Close()
		}
		if err := e.db.Close(); err != nil {
			e.log.Warn("closing the embedded tier", "error", err)
		}
	}
	_ = e.lock.Close() // releases the lock
}

func (e *embedded) shard(key string) *placeholderShard {
	return &e.shards[hashString(key)%placeholderShards]
}

func (e *embedded) get(ctx context.Context, key string) (reply, error) {
	sh := e.shard(key)
	now := time.Now()
	sh.mu.Lock()
	if p := sh.standing(key, now); p != nil {
		r := p.reply(now)
		sh.mu.Unlock()
		return r, nil
	}
	sh.mu.Unlock()
	return e.row(ctx, key)
}

func (e *embedded) row(ctx context.Context, key string) (reply, error) {
	value, expires, err := e.stored(ctx, key)
	if err != nil || value == nil {
		return reply{}, err
	}
	if expires == 0 {
		return classify(value, 0), nil
	}
	ttl := time.Until(time.UnixMilli(expires))
	if ttl <= 0 {
		return reply{}, nil
	}
	return classify(value, ttl), nil
}

// stored returns the key's row as it lies in the file; value is nil if there
// is none, expires is unix ms, 0 for never.
func (e *embedded) stored(ctx context.Context, key string) (value []byte, expires int64, err error) {
	err = e.read.QueryRowContext(ctx, key).Scan(&value, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("%w: reading the embedded tier: %w", errDown, err)
	case value == nil:
		value = []byte{}
	}
	return value, expires, nil
}

func (e *embedded) track(ctx context.Context, flights []*flight) []tracked {
	out := make([]tracked, len(flights))
	for i, f := range flights {
		sent := e.store.now()
		e.store.bind(e.owner, f.key, sent)
		r, err := e.get(ctx, f.key)
		e.store.arrived(e.owner, f.key)
		life := int64(e.trust)
		if r.ttl > 0 {
			life = min(life, int64(r.ttl))
		}
		out[i] = tracked{reply: r, err: err, expiry: sent + life}
	}
	return out
}

func (e *embedded) set(ctx context.Context, items []Item) []error {
	rows := make([]row, len(items))
	for i, it := range items {
		rows[i] = row{key: it.Key, value: it.Value, durable: true}
	}
	if _, err := e.replace(ctx, rows); err != nil {
		return repeat(err, len(items))
	}
	return nil
}

func (e *embedded) remove(ctx context.Context, keys []string) error {
	rows := make([]row, len(keys))
	for i, key := range keys {
		rows[i] = row{key: key, gone: true}
	}
	_, err := e.replace(ctx, rows)
	return err
}

// replace writes rows in one transaction. Leases on their keys are void from
// then on, and no writer whose guard stands there puts its record over them.
func (e *embedded) replace(ctx context.Context, rows []row) (*rowJob, error) {
	var touched [placeholderShards]bool
	for _, r := range rows {
		touched[hashString(r.key)%placeholderShards] = true
	}
	e.lockShards(&touched)
	for _, r := range rows {
		held := e.shard(r.key).held
		if p := held[r.key]; p != nil && p.lease != "" {
			delete(held, r.key)
		} else if p != nil {
			p.shared = true
		}
	}
	job := e.work.queue(rows...)
	e.unlockShards(&touched)
	err := job.wait(ctx)
	for _, r := range rows {
		e.store.changed(r.key)
	}
	return job, err
}

// lockShards locks in the order of the array, so that two batches never wait
// for each other.
func (e *embedded) lockShards(which *[placeholderShards]bool) {
	for i := range which {
		if which[i] {
			e.shards[i].mu.Lock()
		}
	}
}

func (e *embedded) unlockShards(which *[placeholderShards]bool) {
	for i := range which {
		if which[i] {
			e.shards[i].mu.Unlock()
		}
	}
}

func (e *embedded) add(ctx context.Context, key string, n int64) (int64, error) {
	job, err := e.replace(ctx, []row{{key: key, add: n}})
	if err != nil {
		return 0, err
	}
	return job.sum, nil
}

func (e *embedded) count(ctx context.Context, key string) (int64, error) {
	r, err := e.row(ctx, key)
	if err != nil || r.kind == kindNone {
		return 0, err
	}
	return parseCount(key, r.data)
}

func parseCount(key string, text []byte) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: key %q holds no number that can be counted; delete it, or write one there", ErrRefused, key)
	}
	return n, nil
}

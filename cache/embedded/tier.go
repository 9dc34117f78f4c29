// Package embedded is the shared tier without Redis: one SQLite file for one process,
// with nothing to install.
//
// Values, items and counters are rows. Leases and guards are in memory only, for they
// mean nothing once the process is gone. A guard removes the row before the write
// begins, so a process that is killed in the middle of a write leaves no old copy.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
	"hearth/internal/private"
	"hearth/internal/sqlitefile"
)

// Tier is the shared tier in one SQLite file, which is locked for one process. It is safe
// for concurrent use. Every method that reads or writes the file keeps the deadline of its
// context; an error wraps shared.ErrAway when the file could not be read or written in
// time, shared.ErrRefused when the row is not what the method works on. A write whose
// caller stops waiting is done all the same.
type Tier struct {
	// Between New and Close only the shards change. What Open sets is nil in a
	// tier that was never opened, which Close has to bear.
	path      string
	store     *memory.Store
	reads     Reads
	owner     *memory.Owner
	log       *slog.Logger
	lease     time.Duration
	lock      *os.File
	db        *sql.DB // reading
	selectRow *sql.Stmt
	writer    *rowWriter

	shards   [placeholderShards]placeholderShard
	leases   leases
	replaced atomic.Int64 // how often another file stood in the place of the tier's

	tidy    func() // what memory wants to be called now and then
	stop    chan struct{}
	running sync.WaitGroup
}

// placeholderShards is how many locks the keys are spread over. Steps on keys of
// different shards do not wait for each other.
const placeholderShards = 64

// placeholderShard holds the placeholders of some keys. A step that changes one and a row
// of the same key queues the row's change under the lock, so that rows change in the
// order of the placeholders:
//
//	fill    finds its lease, and queues the value
//	guard   replaces the lease, and queues the removal of the row
//
// In the other order the value would stand behind the guard. Several shards are locked
// in the order of the array.
type placeholderShard struct {
	mu           sync.Mutex
	placeholders map[string]*placeholder
	refreshes    map[string]refreshLease // by key, beside values that stand
	own          map[string]ownMark      // by key, beside records that a writer has put
	untold       int                     // changes of rows that memory was not told of yet
}

// Reads are the tracked reads under way, as the cache keeps them.
type Reads interface {
	// Bind notes that the read of key begins; sent is clock time. Arrived notes its
	// end.
	Bind(o *memory.Owner, key string, sent int64)
	Arrived(o *memory.Owner, key string)
	// Changed drops the copy of a key that was written, and poisons its reads.
	Changed(key string)
	// Wake makes readers that wait for key look again.
	Wake(key string)
}

// New returns the tier. It touches no file until it is opened. path is the file,
// lease the lifetime of leases and guards. The file is going to be locked for
// this process, so the store is told that no other process changes it.
func New(path string, lease time.Duration, log *slog.Logger, s *memory.Store, f Reads) *Tier {
	s.SetSoleWriter()
	e := &Tier{path: path, store: s, reads: f, owner: s.NewOwner(true), log: log, lease: lease, tidy: s.NoticeSleep, stop: make(chan struct{})}
	for i := range e.shards {
		e.shards[i].placeholders = map[string]*placeholder{}
		e.shards[i].refreshes = map[string]refreshLease{}
		e.shards[i].own = map[string]ownMark{}
	}
	return e
}

// Open locks the file and opens it. A tier that was not opened must still be
// closed. The lock is a file of its own beside the database, for SQLite locks
// ranges of the database's file itself.
func (e *Tier) Open() (err error) {
	if e.lock, err = lockFile(e.path + lockSuffix); err != nil {
		return fmt.Errorf("opening the embedded tier %q: %w", e.path, err)
	}
	if err = private.Create(e.path); err == nil {
		err = e.openFile()
	}
	if err != nil {
		return fmt.Errorf("opening the embedded tier %q (embedded.path): %w", e.path, err)
	}
	e.running.Go(e.tidyMemory)
	return nil
}

// tidyMemory has memory give back what is not in use any more, and forget what ended long
// ago. A sleep of the machine means nothing to the only writer.
func (e *Tier) tidyMemory() {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		e.tidy()
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
	}
}

// noteReplaced is for the writer's goroutine: another file counts from now on. What a
// writer has put is not in it.
func (e *Tier) noteReplaced() {
	e.owner.Flush()
	for i := range e.shards {
		sh := &e.shards[i]
		sh.mu.Lock()
		clear(sh.own)
		sh.mu.Unlock()
	}
	e.replaced.Add(1)
}

// busy is how long other programs that have the file open, such as the sqlite3 shell,
// are waited for.
const busy = 5 * time.Second

// openFile begins to write and to read the file, which is locked.
func (e *Tier) openFile() (err error) {
	if private.Shared(e.path) {
		e.log.Warn("others can open the file of the embedded tier, with copies of records in it; take the rights away with chmod 600", "path", e.path)
	}
	// With a write-ahead log readers never wait for the writer.
	file := sqlitefile.New(e.path)
	if e.writer, err = newRowWriter(file, e.log, e.holdLock, e.noteReplaced); err != nil {
		return err
	}
	e.db = file.Pool(sqlitefile.Settings{Conns: 4, Busy: busy})
	e.selectRow, err = e.db.Prepare(`SELECT value, expires FROM entries WHERE key = ?`)
	return err
}

// holdLock takes the lock anew if somebody has removed its file: the lock on a file that
// has no name any more keeps nobody out. It is for the writer's goroutine.
func (e *Tier) holdLock() error {
	named, err := os.Stat(e.path + lockSuffix)
	held, errHeld := e.lock.Stat()
	if err == nil && errHeld == nil && os.SameFile(named, held) {
		return nil
	}
	lock, err := lockFile(e.path + lockSuffix)
	if err != nil {
		return fmt.Errorf("taking the lock of the embedded tier anew: %w", err)
	}
	_ = e.lock.Close()
	e.lock = lock
	return nil
}

// lockSuffix is that of the file that is locked.
const lockSuffix = ".lock"

// lockFile keeps a second process out: its memory would not be told of the writes of this
// one. The lock ends with the process, however that ends.
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

// Name is the tier's label in metrics.
func (e *Tier) Name() string { return "embedded" }

// Up returns nil: a file is always there to be asked, unless somebody has taken it away.
func (e *Tier) Up() error {
	if err := e.Trouble(); errors.Is(err, sqlitefile.ErrGone) {
		return err
	}
	return nil
}

// Trouble is why the file could not be written the last time, nil if it could. What it
// holds may still be read. The writer tries every second.
func (e *Tier) Trouble() error {
	if e.writer == nil {
		return nil
	}
	if err := e.writer.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// Readable is Up for any key.
func (e *Tier) Readable(string) error { return e.Up() }

// Close writes what is queued and unlocks the file. It may follow an Open that
// failed. No method may run or be called any more: the queue of the writer is
// closed. The lock goes last, so that the next process finds everything written.
func (e *Tier) Close() {
	close(e.stop)
	e.running.Wait()
	if e.writer != nil {
		e.writer.close()
	}
	if e.db != nil {
		if e.selectRow != nil {
			_ = e.selectRow.Close()
		}
		if err := e.db.Close(); err != nil {
			e.log.Warn("closing the embedded tier", "error", err)
		}
	}
	if e.lock != nil {
		_ = e.lock.Close() // releases the lock
	}
}

// shard returns the shard of key, by the hash that the memory tier uses.
func (e *Tier) shard(key string) *placeholderShard {
	return &e.shards[memory.HashKey(key)%placeholderShards]
}

// Get reads one key: what it returns may be answered, not stored. A row that a
// Remove or a batch has queued and not yet written is still seen here. The call
// that queued it has not succeeded yet, so either order is true to its caller.
func (e *Tier) Get(ctx context.Context, key string) (shared.Content, error) {
	sh := e.shard(key)
	now := time.Now()
	sh.mu.Lock()
	if p := sh.standing(key, now); p != nil { // it hides the row, which may be from before a write
		r := p.reply(now)
		sh.mu.Unlock()
		return r, nil
	}
	sh.mu.Unlock()
	return e.row(ctx, key)
}

// Value is Get.
func (e *Tier) Value(ctx context.Context, key string) (shared.Content, error) { return e.Get(ctx, key) }

// Values is Get for each of keys.
func (e *Tier) Values(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	for i, key := range keys {
		out[i].Content, out[i].Err = e.Get(ctx, key)
	}
	return out
}

// row reads what the file holds, placeholders aside. An expired row counts as
// absent. Expired rows stay in the file until the writer purges them.
func (e *Tier) row(ctx context.Context, key string) (shared.Content, error) {
	value, expires, err := e.stored(ctx, key)
	if err != nil || value == nil {
		return shared.Content{}, err
	}
	if expires == 0 {
		return shared.Parse(value, 0), nil
	}
	ttl := time.Until(time.UnixMilli(expires))
	if ttl <= 0 {
		return shared.Content{}, nil
	}
	return shared.Parse(value, ttl), nil
}

// stored returns the key's row as it lies in the file; value is nil if there
// is none, expires is unix ms, 0 for never.
func (e *Tier) stored(ctx context.Context, key string) (value []byte, expires int64, err error) {
	err = e.selectRow.QueryRowContext(ctx, key).Scan(&value, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("%w: reading the embedded tier: %w", shared.ErrAway, err)
	// The driver returns an empty blob as nil, which would pass for a missing
	// row.
	case value == nil:
		value = []byte{}
	}
	return value, expires, nil
}

// Track reads keys and binds their flights to the tier's one owner, which is
// always verified: no wire lies between this process and the file. Bind comes
// before the read and Arrived after it, so a write in between poisons the flight:
// what it read must not be kept.
func (e *Tier) Track(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	for i, key := range keys {
		e.reads.Bind(e.owner, key, e.store.Now())
		out[i].Content, out[i].Err = e.Get(ctx, key)
		e.reads.Arrived(e.owner, key)
	}
	return out
}

// Set stores items for ttl, 0 without expiry, in one transaction, synced to the disk
// before it returns. errs is nil when all were stored. A failure fails all items, as
// they are one transaction.
func (e *Tier) Set(ctx context.Context, items []shared.Item, ttl time.Duration) []error {
	rows, expires := make([]row, len(items)), expiryOf(ttl)
	for i, it := range items {
		rows[i] = row{key: it.Key, value: it.Value, expires: expires, durable: true}
	}
	if _, err := e.replace(ctx, rows); err != nil {
		return shared.ErrorForEach(err, len(items))
	}
	return nil
}

// SetFor writes value, for ttl. It is in the file no later than what is written after it.
func (e *Tier) SetFor(_ context.Context, key string, value []byte, ttl time.Duration) error {
	e.writer.queue(row{key: key, value: value, expires: expiryOf(ttl)})
	return nil
}

// replace writes rows in one transaction. Leases on their keys are void from then on, and
// no writer whose guard stands there puts its record over them.
func (e *Tier) replace(ctx context.Context, rows []row) (*rowJob, error) {
	var touched [placeholderShards]bool
	for _, r := range rows {
		touched[memory.HashKey(r.key)%placeholderShards] = true
	}
	// All shards at once: of two batches with a key in common, one comes first in every key.
	e.eachShard(&touched, (*sync.Mutex).Lock)
	for _, r := range rows {
		held := e.shard(r.key).placeholders
		if p := held[r.key]; p != nil && p.lease != "" {
			delete(held, r.key)
		} else if p != nil {
			p.shared = true
		}
	}
	job := e.change(rows...)
	e.eachShard(&touched, (*sync.Mutex).Unlock)
	err := job.wait(ctx)
	for _, r := range rows {
		e.reads.Changed(r.key)
	}
	e.told(job)
	return job, err
}

// eachShard locks or unlocks shards in the order of the array, so that two batches never
// wait for each other.
func (e *Tier) eachShard(which *[placeholderShards]bool, do func(*sync.Mutex)) {
	for i := range which {
		if which[i] {
			do(&e.shards[i].mu)
		}
	}
}

// Add adds n to the number at key and returns the sum.
func (e *Tier) Add(ctx context.Context, key string, n int64) (int64, error) {
	job, err := e.replace(ctx, []row{{key: key, add: n}})
	if err != nil {
		return 0, err
	}
	return job.sum, nil
}

// Count reads the number at key, 0 if there is none. It reads what is committed;
// an Add that is still queued is not in it.
func (e *Tier) Count(ctx context.Context, key string) (int64, error) {
	r, err := e.row(ctx, key)
	if err != nil || r.State == shared.Absent {
		return 0, err
	}
	return shared.ParseCount(key, r.Data)
}

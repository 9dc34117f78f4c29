package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/shared"
	"hearth/internal/sqlitefile"
)

// rowWriter is the one goroutine that writes the file. It commits what has queued up in
// one transaction (group commit): an acknowledgement costs its share of one commit, and
// rows change in the order of the queue.
//
// A transaction with items in it is synced to the disk before it is acknowledged,
// for there is no other copy of them. Cached copies and counters survive the end
// of the process, but not necessarily a loss of power. SQLite takes one writer at
// a time. A queue in front of it makes that explicit, and no caller ever meets
// SQLITE_BUSY from a neighbour.
type rowWriter struct {
	log  *slog.Logger
	file *sqlitefile.File
	db   *sql.DB
	jobs chan *rowJob
	done sync.WaitGroup
	// locked proves that the file is this process's alone, renewed is told that another
	// file stands in its place.
	locked  func() error
	renewed func()

	trouble atomic.Pointer[error] // why the latest commit failed, nil if it did not

	// These belong to the goroutine.
	conn *sql.Conn // nil while there is none
	statements
	synced bool // the connection syncs on each commit
}

// statements are those of the connection that writes, prepared once. A
// transaction reaches them through Tx.Stmt.
type statements struct{ put, swap, drop, read *sql.Stmt }

// row is one change of the file: value is put there, unless one of remove, add and was
// says otherwise.
type row struct {
	key     string
	value   []byte
	expires int64 // unix ms; 0: never
	remove  bool  // delete it
	add     int64 // not 0: add to the number there
	durable bool  // sync before acknowledging

	was        []byte // not nil: only if exactly this stands there …
	wasExpires int64  // … with this expiry
}

// rowJob is what one caller wants changed, all or nothing. Its results may be read once
// done is closed.
type rowJob struct {
	rows  []row
	purge int64 // not 0: delete what had expired at this unix ms
	sum   int64 // the number after add
	done  chan struct{}
	err   error

	swapped bool // the row with a condition was written

	// over is set by whoever comes first: the writer, which is done with the job, or its
	// caller, which leaves it. late is then called by the writer in the caller's place.
	over atomic.Bool
	late func()
	gone bool // its caller has left it; the caller's own
}

const (
	// queueSize bounds the memory that a slow disk can make the process hold, and
	// commitRows how long one transaction keeps the callers behind it waiting.
	// purgeBatch keeps a purge short for the same reason: what is left over goes
	// a second later.
	queueSize   = 1 << 14 // jobs waiting; what comes beyond is refused
	commitRows  = 4096    // of one commit
	purgeEvery  = time.Second
	purgeBatch  = 2000
	createTable = `CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID`
	createIndex = `CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires) WHERE expires > 0`
)

// newRowWriter opens the file for writing and starts its goroutine, which close joins.
func newRowWriter(file *sqlitefile.File, log *slog.Logger, locked func() error, renewed func()) (*rowWriter, error) {
	// NORMAL syncs the log at checkpoints only. A loss of power may then undo the last
	// commits, but never damages the file (SQLite's manual, PRAGMA synchronous).
	db := file.Pool(sqlitefile.Settings{Conns: 1, Busy: busy, Pragmas: []string{"synchronous = NORMAL"}})
	w := &rowWriter{log: log, file: file, db: db, jobs: make(chan *rowJob, queueSize), locked: locked, renewed: renewed}
	if err := w.prepare(); err != nil {
		w.release()
		return nil, errors.Join(err, db.Close())
	}
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		w.run()
	}()
	return w, nil
}

// prepare takes the one connection that writes, makes the table if need be, and prepares
// the statements on that connection.
func (w *rowWriter) prepare() (err error) {
	ctx := context.Background()
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	w.synced = false
	for _, text := range []string{createTable, createIndex} {
		if _, err = w.conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	for text, to := range map[string]**sql.Stmt{
		`INSERT INTO entries (key, value, expires) VALUES (?, ?, ?)
		 ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires`: &w.put,
		`UPDATE entries SET value = ?, expires = ? WHERE key = ? AND value = ? AND expires = ?`: &w.swap,

		`DELETE FROM entries WHERE key = ?`:                &w.drop,
		`SELECT value, expires FROM entries WHERE key = ?`: &w.read,
	} {
		if *to, err = w.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// release gives up the connection that writes, with its statements.
func (w *rowWriter) release() {
	for _, s := range []*sql.Stmt{w.put, w.swap, w.drop, w.read} {
		if s != nil {
			_ = s.Close()
		}
	}
	w.statements = statements{}
	if w.conn != nil {
		_ = w.conn.Close() // the pool does not keep one that is outdated
	}
	w.conn = nil
}

// follow sees that what is written is written to the file that stands at the path, and
// that it is this process's alone.
func (w *rowWriter) follow() error {
	if err := w.locked(); err != nil {
		return err
	}
	if w.conn == nil || sqlitefile.Outdated(w.conn) {
		w.release()
		if err := w.prepare(); err != nil {
			w.release()
			return err
		}
	}
	if w.file.Renewed() {
		w.log.Warn("another file stands in the place of the embedded tier's; its items, counters and copies are what counts from now on", "path", w.file.Path())
		w.renewed()
	}
	return nil
}

// close writes what is queued. Nothing may be queued any more.
func (w *rowWriter) close() {
	close(w.jobs)
	w.done.Wait()
	w.release()
	if err := w.db.Close(); err != nil {
		w.log.Warn("closing the embedded tier", "error", err)
	}
}

// queue hands rows to the writer, or refuses them at once when too much waits
// already: it is called under locks and must not wait itself. The order of calls
// is the order of rows in the file. The rows belong to the writer from here on
// and must not be changed.
func (w *rowWriter) queue(rows ...row) *rowJob {
	return w.enqueue(&rowJob{rows: rows, done: make(chan struct{})})
}

// enqueue is queue for a job that has a late.
func (w *rowWriter) enqueue(job *rowJob) *rowJob {
	select {
	case w.jobs <- job:
	default:
		job.err = fmt.Errorf("%w: %w: %d writes wait for the embedded tier", shared.ErrAway, shared.ErrOverload, queueSize)
		job.over.Store(true)
		close(job.done)
	}
	return job
}

// wait returns once the job is committed or has failed. A job that its caller
// stops waiting for is done all the same. err and the results may be read only if
// it returned for j.done; a caller that left must not look at them.
func (j *rowJob) wait(ctx context.Context) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	if !j.over.CompareAndSwap(false, true) { // the writer was first
		<-j.done
		return j.err
	}
	j.gone = true
	return fmt.Errorf("%w: writing the embedded tier: %w", shared.ErrAway, ctx.Err())
}

// run commits jobs and purges expired rows until the queue is closed. After an
// error it goes on with the next jobs: a full disk may be emptied. The callers of
// the failed commit get the error, and their rows are as before.
func (w *rowWriter) run() {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		var jobs []*rowJob
		select {
		case job, open := <-w.jobs:
			if !open {
				return
			}
			jobs = w.gather(job)
		case <-tick.C:
			// The purge goes through commit as any job does, so it needs no lock
			// against the others. Its channel is there because every job's is
			// closed.
			jobs = []*rowJob{{purge: time.Now().UnixMilli(), done: make(chan struct{})}}
			if w.trouble.Load() != nil { // a purge of nothing would succeed on a full disk
				jobs[0].rows = []row{{key: "hearth:probe", value: []byte("1"), expires: 1}}
			}
		}
		err := w.work(jobs)
		for _, job := range jobs {
			if err != nil && job.err == nil {
				job.err = fmt.Errorf("%w: writing the embedded tier: %w", shared.ErrAway, err)
			}
			left := !job.over.CompareAndSwap(false, true)
			close(job.done)
			if left && job.late != nil {
				job.late()
			}
		}
	}
}

// work commits jobs. Those that change nothing only want to know that everything before them
// is done, and that the file is the one that stands at the path: they say nothing of a disk.
func (w *rowWriter) work(jobs []*rowJob) error {
	if !slices.ContainsFunc(jobs, func(j *rowJob) bool { return j.purge != 0 || len(j.rows) > 0 }) {
		return w.follow()
	}
	err := w.commit(jobs)
	w.note(err)
	return err
}

// note keeps how the latest commit has ended, and logs it when that has changed.
func (w *rowWriter) note(err error) {
	before := w.trouble.Load()
	switch {
	case err == nil && before != nil:
		w.trouble.Store(nil)
		w.log.Info("the embedded tier is written again")
	case err != nil && (before == nil || (*before).Error() != err.Error()):
		w.trouble.Store(&err)
		w.log.Error("writing the embedded tier", "error", err)
	}
}

// gather takes what else has queued up, as many rows as one commit may have. It
// never waits: under light load a job is committed alone and at once, and under
// heavy load the queue fills while the commit before runs.
func (w *rowWriter) gather(first *rowJob) []*rowJob {
	jobs := []*rowJob{first}
	for n := len(first.rows); n < commitRows; {
		select {
		case job, open := <-w.jobs:
			if !open {
				return jobs
			}
			jobs = append(jobs, job)
			n += len(job.rows)
		default:
			return jobs
		}
	}
	return jobs
}

// commit applies jobs in one transaction. An error fails all of them: what is in one
// transaction is written together or not at all.
func (w *rowWriter) commit(jobs []*rowJob) (err error) {
	ctx := context.Background()
	if err := w.follow(); err != nil {
		return err
	}
	if err := w.sync(ctx, jobs); err != nil {
		return err
	}
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	on := statements{put: tx.Stmt(w.put), swap: tx.Stmt(w.swap), drop: tx.Stmt(w.drop), read: tx.Stmt(w.read)}
	for _, job := range jobs {
		if job.purge != 0 {
			if _, err := tx.Exec(`DELETE FROM entries WHERE key IN (SELECT key FROM entries WHERE expires > 0 AND expires <= ? LIMIT ?)`, job.purge, purgeBatch); err != nil {
				return err
			}
		}
		for _, r := range job.rows {
			if err := on.apply(job, r); err != nil {
				return err
			}
		}
	}
	// What is written to a file that has lost its name is written for nobody.
	if sqlitefile.Outdated(w.conn) {
		return sqlitefile.ErrReplaced
	}
	return tx.Commit()
}

// apply makes one change. What is wrong with the change itself becomes the error
// of its job alone; an error that is returned fails the whole transaction. So a
// counter that cannot count further does not fail the fills that happen to share
// its commit.
func (on statements) apply(job *rowJob, r row) (err error) {
	switch {
	case r.remove:
		_, err = on.drop.Exec(r.key)
	case r.add != 0:
		job.sum, job.err = addTo(on.read, r)
		if job.err == nil {
			_, err = on.put.Exec(r.key, []byte(strconv.FormatInt(job.sum, 10)), 0)
		}
	case r.was != nil:
		var done sql.Result
		if done, err = on.swap.Exec(r.value, r.expires, r.key, r.was, r.wasExpires); err == nil {
			var n int64
			n, err = done.RowsAffected()
			job.swapped = n == 1
		}
	default:
		_, err = on.put.Exec(r.key, r.value, r.expires)
	}
	return err
}

// addTo returns the number that stands in a row, with what is to be added. An
// expired number counts as absent. The sum never wraps around.
func addTo(read *sql.Stmt, r row) (int64, error) {
	var text []byte
	var expires int64
	switch err := read.QueryRow(r.key).Scan(&text, &expires); {
	case errors.Is(err, sql.ErrNoRows):
		return r.add, nil
	case err != nil:
		return 0, err
	case expires > 0 && expires <= time.Now().UnixMilli(): // written by another program; it counts as absent
		return r.add, nil
	}
	n, err := shared.ParseCount(r.key, text)
	if err == nil && n > math.MaxInt64-r.add {
		err = fmt.Errorf("%w: key %q cannot count %d more than %d; delete it, or write a number there", shared.ErrRefused, r.key, r.add, n)
	}
	return n + r.add, err
}

// sync sets how the next commit is written: synced to the disk if any row has to
// survive a loss of power. SQLite refuses the pragma within a transaction, so it
// is run before BEGIN. A batch that mixes both is synced as a whole.
func (w *rowWriter) sync(ctx context.Context, jobs []*rowJob) error {
	want := false
	for _, job := range jobs {
		for _, r := range job.rows {
			want = want || r.durable
		}
	}
	if want == w.synced {
		return nil
	}
	mode := "NORMAL"
	if want {
		mode = "FULL"
	}
	if _, err := w.conn.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
		return err
	}
	w.synced = want
	return nil
}

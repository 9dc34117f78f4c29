package feed

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"hearth/cache/shared"
	"hearth/internal/source/outbox"
)

// The order of a round is what makes the feed lossless:
//
//  1. Rows are read, by a snapshot: whatever they tell is visible to every load that
//     begins from here on.
//  2. What they mean is read after them. A meaning that was installed before a row was
//     written is there then.
//  3. The copies are removed, each in one step that voids loads under way, and the
//     shared tier has acknowledged it (with redis.wait_replicas: replicas too).
//  4. Exactly the rows that were read leave the outbox. One that was committed meanwhile
//     has another id, also a lower one.
//
// A leader that dies between 3 and 4 leaves rows that the next one handles again.
//
// Ids are given when a row is written, and rows appear when their transaction commits.
// So a poll looks only behind a hint, which is cheap however many dead rows an open
// transaction keeps in the way; and every 250 ms a look begins at zero.

const (
	batchRows = 100       // of the first read
	leastRows = 10        // of any, for each may tell of a thousand changes, …
	mostRows  = 400       // … or of one, where triggers fire for each row
	readBytes = 256 << 10 // that a read brings, about
	chunkKeys = 1000      // removed in one piece
	hintBack  = 1000      // ids that the hint stays behind

	lookEvery  = 250 * time.Millisecond // looks from the beginning
	chainFor   = 2 * time.Second        // so long a backlog is gone through before another look
	idleAfter  = 10 * time.Second       // without rows: then polls are four times as long apart
	retryAfter = 250 * time.Millisecond // after an error
)

// drainer is the goroutine that drains.
type drainer struct {
	*Feed
	leadership leadership

	most    int // rows of one read
	hint    int64
	cursor  int64          // where the next read of a backlog begins; 0: there is none
	whole   bool           // the reads up to the cursor began at the beginning
	pending map[int64]bool // rows that are done and still stand in the outbox
	removed time.Time      // when copies were removed last
	ended   time.Time      // when rows were taken out of the outbox last
	looked  time.Time      // when the latest look from the beginning began
	busy    time.Time      // when there were rows last
	expired time.Time
	sized   time.Time
	oldest  int64 // the first row that the latest look has found undone; 0: none
	failed  bool

	sets      []outbox.Set // as they were read last; templates and broken are made of them
	templates map[int32][]*template
	broken    map[int32]error // sets with meanings that are not understood

	generation shared.Generation // of the shared tier, up to which all is done
	late       time.Time         // when what was kept is done once more; zero: it need not be
	canary     canary
}

func newDrainer(f *Feed) *drainer {
	d := &drainer{Feed: f, generation: f.cfg.Cache.Generation(), pending: map[int64]bool{}, most: batchRows}
	d.leadership = leadership{feed: f, note: Note{Instance: f.cfg.Instance}}
	d.busy = f.now()
	return d
}

// run drains until the feed ends.
func (d *drainer) run() {
	defer d.leadership.yield()
	for {
		wait, err := d.round()
		if err != nil && d.life.Err() == nil {
			d.Errors.Add(1)
			if wait = retryAfter; d.cursor > 0 {
				wait = d.settings.Load().Poll // for the rows behind those that failed
			}
			if !d.failed {
				d.cfg.Log.Warn("the change feed cannot drain the outbox; it is tried again", "error", err)
			}
		} else if d.failed && err == nil {
			d.cfg.Log.Info("the change feed drains the outbox again")
		}
		d.failed = err != nil
		if !d.pause(wait) {
			return
		}
	}
}

// round looks once, and does what there is to do. It returns how long to wait for the
// next one.
func (d *drainer) round() (wait time.Duration, err error) {
	now := d.now()
	since := now.Sub(d.looked)
	fromZero := since >= lookEvery && (d.cursor == 0 || since >= chainFor)
	if !d.leadership.held && !fromZero {
		return lookEvery - now.Sub(d.looked), nil
	}
	ctx, cancel := d.within()
	defer cancel()
	if moved, err := d.cfg.Outbox.Moved(ctx); err != nil {
		d.cfg.Outbox.Lost()
		return 0, err
	} else if !moved && !fromZero {
		return d.polling(now, d.settings.Load()), nil
	}
	after := max(d.hint, d.cursor)
	if fromZero {
		after, d.looked = 0, now
	}
	d.whole = fromZero || d.whole && d.cursor > 0
	rows, err := d.cfg.Outbox.Read(ctx, after, d.most)
	d.absent.Store(err != nil && d.cfg.Outbox.Missing(err))
	if err != nil {
		d.cfg.Outbox.Lost()
		return 0, err
	}
	if err := d.leadership.ask(now); err != nil {
		return 0, err
	}
	if !d.leadership.held {
		d.cursor = 0
		clear(d.pending)
		return lookEvery, d.stand(now, rows)
	}
	return d.lead(now, rows)
}

// stand is for an instance that does not lead. The leader needs a few milliseconds for a
// row: one that is there at two looks is left undone.
func (d *drainer) stand(now time.Time, rows []outbox.Row) error {
	first := int64(0)
	if len(rows) > 0 {
		first = rows[0].ID
	}
	undone := first != 0 && first == d.oldest
	d.oldest = first
	if !undone {
		if now.Sub(d.leadership.joined) >= beatEvery {
			return d.leadership.join()
		}
		return nil
	}
	// The outbox may be another fleet's.
	d.leadership.beaten = time.Time{}
	if err := d.leadership.beat(now); err != nil {
		return err
	}
	if err := d.mend(); err != nil {
		return err
	}
	return d.handle(rows)
}

// lead is a round of the leader.
func (d *drainer) lead(now time.Time, rows []outbox.Row) (wait time.Duration, err error) {
	if err := d.leadership.beat(now); err != nil {
		return 0, err
	}
	if err := d.mend(); err != nil {
		return 0, err
	}
	if slices.ContainsFunc(rows, func(r outbox.Row) bool { return r.Set != outbox.Canary }) {
		d.busy = now
	}
	s := d.settings.Load()
	full := len(rows) == d.most
	d.most = mostOf(rows)
	if full {
		if handled, err := d.relieve(now, rows, s); err != nil || handled {
			return 0, err
		}
	}
	if err := d.handle(rows); err != nil {
		// What keeps these rows, such as a master of Redis that is away, may leave those
		// behind them alone. They are read; then all is read again from the beginning.
		if d.cursor, d.whole = 0, false; full {
			d.cursor = rows[len(rows)-1].ID
		}
		return 0, err
	}
	if d.cursor = 0; full {
		d.cursor = rows[len(rows)-1].ID
		return 0, d.leadership.ask(d.now())
	}
	// All that was committed when the reads began is done, if they began at the beginning
	// and have come to the end.
	if d.whole {
		d.Backlog.Store(0)
		d.Oldest.Store(0)
		d.leadership.note.Backlog = 0
		d.leadership.note.Drained++
		d.leadership.drainedAt = d.looked
	}
	if err := d.measure(now); err != nil {
		return 0, err
	}
	return d.polling(now, s), d.expire(now, s)
}

// mostOf is how many rows the next read may bring, by the size of those of the one before:
// a change of a million rows takes no more memory than one of a thousand.
func mostOf(rows []outbox.Row) int {
	bytes := 0
	for i := range rows {
		bytes += len(rows[i].Data)
	}
	if bytes == 0 {
		return batchRows
	}
	return min(max(readBytes*len(rows)/bytes, leastRows), mostRows)
}

// polling is how long to wait for the next poll.
func (d *drainer) polling(now time.Time, s *Settings) time.Duration {
	wait := s.Poll
	if now.Sub(d.busy) > idleAfter {
		wait = 4 * s.Poll
	}
	return min(wait, max(0, lookEvery-now.Sub(d.looked)))
}

// maxPending bounds the rows that are done and wait to be taken out of the outbox.
const maxPending = 20_000

// handle removes what rows mean, and then the rows. Those that are done already, and could
// not be taken out yet, are passed over.
//
// A process that stood still behind the removal takes nothing out: meanwhile the shared tier
// may have lost the removal, and another leader may have done again what was kept.
func (d *drainer) handle(rows []outbox.Row) error {
	left := slices.DeleteFunc(slices.Clone(rows), func(r outbox.Row) bool { return d.pending[r.ID] })
	if err := d.removeAll(left); err != nil {
		return err
	}
	if d.now().Sub(d.removed) > lateAfter/2 {
		clear(d.pending)
		return nil
	}
	for _, r := range left {
		d.pending[r.ID] = true
		d.hint = max(d.hint, r.ID-hintBack)
	}
	return d.takeOut()
}

// takeOut takes the rows that are done out of the outbox. Where that needs a lock that
// writers wait for, once a second will do. If the lock is not to be had, the rows are done
// all the same: they are passed over until it is.
func (d *drainer) takeOut() error {
	now := d.now()
	if len(d.pending) == 0 || d.cfg.Outbox.Lazy() && now.Sub(d.ended) < time.Second && len(d.pending) < batchRows {
		return nil
	}
	d.ended = now
	ctx, cancel := d.within()
	defer cancel()
	ids := slices.Sorted(maps.Keys(d.pending))
	out := d.cfg.Outbox.Done
	if d.settings.Load().Keep > 0 {
		out = d.cfg.Outbox.Keep
	}
	for part := range slices.Chunk(ids, doneRows) {
		if err := out(ctx, part); err != nil {
			if d.cfg.Outbox.Busy(err) && len(d.pending) < maxPending {
				return nil
			}
			clear(d.pending) // whether they are gone is not known, and ids may be given again
			return err
		}
		for _, id := range part {
			delete(d.pending, id)
		}
	}
	return nil
}

// removeAll removes the copies of all records that rows mean.
func (d *drainer) removeAll(rows []outbox.Row) error {
	d.removed = d.now()
	if len(rows) == 0 {
		return nil
	}
	if err := d.learn(rows); err != nil {
		return err
	}
	c := newChanges()
	seen := false
	for i := range rows {
		if rows[i].Set == outbox.Canary {
			seen = true
			c.add(canaryKey, "")
			continue
		}
		if err := d.gather(c, &rows[i]); err != nil {
			return err
		}
		if len(c.order) >= chunkKeys {
			if err := d.outdate(c); err != nil {
				return err
			}
		}
	}
	if err := d.outdate(c); err != nil {
		return err
	}
	if seen {
		d.arrived()
	}
	err := d.flush(c.whole)
	d.removed = d.now()
	return err
}

// outdate removes the keys that were gathered.
func (d *drainer) outdate(c *changes) error {
	for part := range slices.Chunk(c.take(), chunkKeys) {
		if err := d.outdatePart(part); err != nil {
			return err
		}
		if err := d.renew(); err != nil {
			return err
		}
	}
	return nil
}

func (d *drainer) outdatePart(part []shared.Outdated) error {
	ctx, cancel := d.within()
	defer cancel()
	if err := d.cfg.Cache.Outdate(ctx, part); err != nil {
		return fmt.Errorf("removing copies: %w", err)
	}
	for _, o := range part {
		if o.Kept {
			d.Own.Add(1)
		}
	}
	d.Keys.Add(int64(len(part)))
	return nil
}

// renew renews the lease during long work.
func (d *drainer) renew() error {
	if !d.leadership.held {
		return nil
	}
	return d.leadership.ask(d.now())
}

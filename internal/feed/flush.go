package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearth/internal/source/outbox"
)

// flushWithin bounds the removal of all records of one resource.
const flushWithin = 5 * time.Minute

// known are the templates of all sets in the database, and of what this configuration
// watches: each once.
func (d *drainer) known() map[string]*template {
	all := map[string]*template{}
	for _, list := range d.templates {
		for _, t := range list {
			all[t.Key] = t
		}
	}
	for _, r := range d.wanted.Load().resources {
		if !r.Watched || all[r.Key.Text] != nil {
			continue
		}
		m := outbox.Meaning{Resource: r.Name, Key: r.Key.Text}
		for _, p := range r.Params {
			m.Params = append(m.Params, outbox.Param{Name: p.Name, Type: string(p.Type)})
		}
		if t, err := newTemplate(m); err == nil {
			all[r.Key.Text] = t
		}
	}
	return all
}

// allOf notes that all watched records are meant.
func (d *drainer) allOf(c *changes) {
	for _, t := range d.known() {
		c.all(t)
	}
}

// flush removes all records of templates. The lease is renewed meanwhile: the work is
// long, and goes on.
func (d *drainer) flush(whole map[string]*template) error {
	for _, t := range whole {
		if err := d.sweep(t); err != nil {
			return fmt.Errorf("removing all records of resource %q: %w", t.Resource, err)
		}
		d.Flushes.Add(1)
	}
	return nil
}

func (d *drainer) sweep(t *template) error {
	ctx, cancel := context.WithTimeout(d.life, flushWithin)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := d.cfg.Cache.Sweep(ctx, t.glob, t.key.Matches)
		done <- err
	}()
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if err := d.renew(); err != nil {
				cancel()
				<-done
				return err
			}
		}
	}
}

// mend makes good what was lost, before anybody is told that all is done.
func (d *drainer) mend() error {
	l := &d.leadership
	if l.databaseLost {
		if err := d.regain(); err != nil {
			return err
		}
	}
	if err := d.replay(); err != nil {
		return err
	}
	l.databaseLost = false
	if !l.unconfirmed || !d.late.IsZero() {
		return nil
	}
	return l.confirm()
}

// regain removes everything that is watched after the database has lost commits: copies
// may be of what never was.
func (d *drainer) regain() error {
	d.hint, d.cursor = 0, 0 // ids may be given again
	clear(d.pending)
	if err := d.relearn(); err != nil {
		return err
	}
	c := newChanges()
	d.allOf(c)
	return d.flush(c.whole)
}

// relearn reads what all sets mean.
func (d *drainer) relearn() error { return d.learn([]outbox.Row{{Set: outbox.Flush}}) }

// replay does again what was kept, after the shared tier may have lost it. Without rows
// that are kept there is what this process itself remembers of the last minute, which the
// shared tier does again by itself. Where that is not enough everything is removed.
func (d *drainer) replay() error {
	l, now := &d.leadership, d.cfg.Cache.Generation()
	if now == d.generation && !l.tierLost {
		return d.replayLate()
	}
	// What was done at the former server and still stands in the outbox is not done here.
	clear(d.pending)
	d.looked, d.cursor = time.Time{}, 0
	switch forgotten := now.Forgotten != d.generation.Forgotten; {
	case d.settings.Load().Keep > l.lost():
		if err := d.replayKept(); err != nil {
			return err
		}
		d.late = d.now().Add(lateAfter)
		l.unconfirmed = true
		d.cfg.Log.Info("the change feed has done again what it had kept, for the shared tier may have lost it")
	case forgotten || l.tierLost && !l.remembers(d.now()):
		d.cfg.Log.Warn("the shared tier may have lost more than is remembered of what the change feed has removed there; all watched records are removed: feed.keep would keep the changes, to be done again one by one")
		if err := d.regain(); err != nil {
			return err
		}
		d.late = d.now().Add(lateAfter)
		l.unconfirmed = true
	}
	d.generation, l.tierLost = now, false
	return nil
}

// lateAfter is how long a round may still be under way that has begun before another leader
// did again what was kept: as long as its lease, and the questions of one round.
const lateAfter = leaseTTL + 4*time.Second

// replayLate does it once more, or removes everything once more, for this order:
//
//	one leader    removes a copy at the former server of the shared tier
//	another one   learns of the new server, and does again what is kept
//	the first     moves its row to what is kept, and dies
//
// Until then the fleet's memory says that the shared tier has lost something: a leader that
// dies in between leaves both to the next one.
func (d *drainer) replayLate() error {
	if d.late.IsZero() || d.now().Before(d.late) {
		return nil
	}
	again := d.regain
	if d.settings.Load().Keep > 0 {
		again = d.replayKept
	}
	if err := again(); err != nil {
		return err
	}
	d.late = time.Time{}
	return nil
}

func (d *drainer) replayKept() error { return d.pages(d.cfg.Outbox.Kept, d.removeAll) }

// pages reads rows to their end, as many at a time as mostOf allows, and has each part of
// them done.
func (d *drainer) pages(read func(ctx context.Context, after int64, most int) ([]outbox.Row, error), do func([]outbox.Row) error) error {
	for after, most := int64(0), batchRows; ; {
		ctx, cancel := d.within()
		rows, err := read(ctx, after, most)
		cancel()
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := do(rows); err != nil {
			return err
		}
		if err := d.renew(); err != nil {
			return err
		}
		after, most = rows[len(rows)-1].ID, mostOf(rows)
	}
}

// expire deletes what was kept long enough.
func (d *drainer) expire(now time.Time, s *Settings) error {
	if now.Sub(d.expired) < max(time.Second, s.Keep/10) {
		return nil
	}
	d.expired = now
	if s.Keep == 0 {
		d.expired = now.Add(time.Minute) // what an earlier configuration has kept
	}
	ctx, cancel := d.within()
	defer cancel()
	return d.cfg.Outbox.Expire(ctx, s.Keep)
}

// relieve counts what waits behind a full batch. Too much is not removed one by one: all
// records that it may concern are, and the rows with them. handled tells that this was
// done.
func (d *drainer) relieve(now time.Time, rows []outbox.Row, s *Settings) (handled bool, err error) {
	if now.Sub(d.sized) < time.Second {
		return false, nil
	}
	d.sized = now
	ctx, cancel := d.within()
	defer cancel()
	size, err := d.cfg.Outbox.Size(ctx)
	if err != nil {
		return false, err
	}
	d.Backlog.Store(size.Rows)
	d.Oldest.Store(int64(size.Oldest))
	d.leadership.note.Backlog = size.Rows
	var bytes int64
	for _, r := range rows {
		bytes += int64(len(r.Data))
	}
	each := max(1, bytes/int64(len(rows))/bytesOfChange) // changes that one row tells of, about
	if size.Rows*each <= s.FlushBacklog {
		return false, nil
	}
	d.cfg.Log.Warn("more changes wait than are worth to be looked at one by one; all records of the resources that they concern are removed", "rows", size.Rows, "changes", size.Rows*each)
	return true, d.skim()
}

// bytesOfChange is about what one change takes in a row, {"id": 123456}.
const bytesOfChange = 16

// doneRows are taken out of the outbox at a time. maxSkim are skimmed in all: what is left
// is done by the next round.
const (
	doneRows = 1000
	maxSkim  = 4_000_000
)

var errEnough = errors.New("as many rows as are skimmed at a time")

// keepFlush asks for a removal once more, by a row that is kept. The rows that it stands for
// are too many to be kept.
func (d *drainer) keepFlush(whole map[string]*template) error {
	var names []string
	for _, t := range whole {
		names = append(names, t.Resource)
	}
	if d.settings.Load().Keep == 0 || len(names) == 0 {
		return nil
	}
	ctx, cancel := d.within()
	defer cancel()
	return d.cfg.Outbox.Flush(ctx, names)
}

// skim flushes all that the rows which wait now may concern, and deletes these rows. They
// are read first: what is removed after that is removed after they were visible.
func (d *drainer) skim() error {
	var ids []int64
	sets := map[int32]bool{}
	err := d.pages(d.cfg.Outbox.Read, func(rows []outbox.Row) error {
		for _, r := range rows {
			ids = append(ids, r.ID)
			sets[r.Set] = true
		}
		if len(ids) >= maxSkim {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if err := d.relearn(); err != nil {
		return err
	}
	c := newChanges()
	for set := range sets {
		templates, known := d.templates[set]
		if !known && set != outbox.Canary || d.broken[set] != nil {
			d.allOf(c)
		}
		for _, t := range templates {
			c.all(t)
		}
	}
	if err := d.flush(c.whole); err != nil {
		return err
	}
	d.Flushed.Add(int64(len(ids)))
	if err := d.keepFlush(c.whole); err != nil {
		return err
	}
	for part := range slices.Chunk(ids, doneRows) {
		ctx, cancel := d.within()
		err := d.cfg.Outbox.Done(ctx, part)
		cancel()
		if err != nil {
			return err
		}
		if err := d.renew(); err != nil {
			return err
		}
	}
	return nil
}

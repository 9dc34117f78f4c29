package feed

import "time"

// canary is a row that is measured on its way.
type canary struct {
	written   time.Time // when the latest was written
	committed time.Time // when it was committed; zero: none is on its way
}

// measure writes a canary when it is time to: each second while changes come, else every
// ten seconds.
func (d *drainer) measure(now time.Time) error {
	every := time.Second
	if now.Sub(d.busy) > idleAfter {
		every = idleAfter
	}
	if now.Sub(d.canary.written) < every {
		return nil
	}
	ctx, cancel := d.within()
	defer cancel()
	err := d.cfg.Outbox.Canary(ctx)
	if d.canary.written = now; err != nil && d.cfg.Outbox.Busy(err) {
		return nil // there is no lag to measure while nobody else can commit
	}
	if err != nil {
		return err
	}
	d.canary.committed = d.now()
	return nil
}

// arrived notes that a canary's removal was acknowledged. It is measured from its commit,
// on this process's clock.
func (d *drainer) arrived() {
	if d.canary.committed.IsZero() {
		return // another leader's
	}
	lag := d.now().Sub(d.canary.committed)
	d.canary.committed = time.Time{}
	d.leadership.note.LagMS = lag.Milliseconds()
	d.cfg.OnLag(lag)
}

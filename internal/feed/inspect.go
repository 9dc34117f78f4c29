package feed

import (
	"time"
)

// inspect looks whether the triggers stand, now and then, on every instance: each knows
// best which it needs. The leader looks more often where a trigger can make writes fail,
// and takes it away then.
//
// What cannot be found out leaves what is known as it is, and keeps nobody from draining.
func (d *drainer) inspect(now time.Time) {
	w := d.wanted.Load()
	if w == d.wantedFor && now.Sub(d.checked) < faultEvery && !(d.leadership.held && now.Sub(d.healed) >= healEvery) {
		return
	}
	d.checked, d.healed, d.wantedFor = now, now, w
	ctx, cancel := d.within()
	defer cancel()
	faults, err := d.cfg.Outbox.Faults(ctx, w.sets)
	if err != nil {
		d.cfg.Outbox.Lost()
		d.checked = now.Add(healEvery - faultEvery) // sooner
		d.cfg.Log.Debug("looking at the triggers of the change feed", "error", err)
		return
	}
	d.noteFaults(now, w.sets, faults)
	if len(faults) == 0 || !d.leadership.held {
		return
	}
	done, err := d.cfg.Outbox.Heal(ctx, faults)
	for _, text := range done {
		d.cfg.Log.Warn("a trigger of the change feed made writes fail and was taken away; what it watched is not told until the feed is installed anew", "done", text)
	}
	if err != nil {
		d.cfg.Log.Debug("taking triggers away that make writes fail", "error", err)
	}
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
	if err := d.cfg.Outbox.Canary(ctx); err != nil {
		return err
	}
	d.canary.written = now
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

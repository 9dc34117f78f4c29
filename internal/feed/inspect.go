package feed

import (
	"time"
)

const (
	faultEvery = 5 * time.Second // between two looks at the triggers
	healEvery  = time.Second     // the same for the leader, where a trigger can make writes fail
)

// inspector looks whether the triggers stand, on every instance: each knows best which it
// needs. It has a goroutine of its own, for a look at the catalog may take longer than a
// change may wait.
type inspector struct {
	*Feed
	checked time.Time
	asked   *wanted // whose triggers were looked at
}

// run looks until the feed ends.
func (i *inspector) run() {
	for ok := true; ok; ok = i.pause(lookEvery) {
		i.inspect(i.now())
	}
}

// inspect looks if it is time to. The leader also takes a trigger away that makes writes
// fail, and so does every instance where there is no outbox, and for that reason no leader.
// What cannot be found out leaves what is known as it is.
func (i *inspector) inspect(now time.Time) {
	every, heals := faultEvery, i.cfg.Outbox.Heals() && (i.Leader.Load() || i.absent.Load())
	if heals {
		every = healEvery
	}
	w := i.wanted.Load()
	if w == i.asked && now.Sub(i.checked) < every {
		return
	}
	i.checked, i.asked = now, w
	ctx, cancel := i.within()
	defer cancel()
	faults, err := i.cfg.Outbox.Faults(ctx, w.sets)
	if err != nil {
		i.checked = now.Add(healEvery - every) // sooner
		i.cfg.Log.Debug("looking at the triggers of the change feed", "error", err)
		return
	}
	i.noteFaults(now, w.sets, faults)
	if len(faults) == 0 || !heals {
		return
	}
	done, err := i.cfg.Outbox.Heal(ctx, faults)
	for _, text := range done {
		i.cfg.Log.Warn("triggers of the change feed were mended", "done", text)
	}
	if err != nil {
		i.cfg.Log.Debug("mending triggers of the change feed", "error", err)
	}
}

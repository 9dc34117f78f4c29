package app

import (
	"slices"

	"hearth/cache"
	"hearth/internal/admin"
	"hearth/internal/auth"
	"hearth/internal/timeline"
)

// hotInTick is how many hot keys a tick has at most.
const hotInTick = 10

// newTimeline makes what remembers the numbers of this process.
func (a *App) newTimeline() *timeline.Timeline {
	t := timeline.New(timeline.Config{Read: a.metrics.Snapshot, Hot: a.hottest, Checks: a.checkTexts, Log: a.log})
	a.metrics.CounterFunc("hearth_stream_ticks_missed_total", "Ticks that followers of the admin listener's stream have not taken in time.",
		func() float64 { return float64(t.Missed()) })
	a.metrics.CounterFunc("hearth_stream_refused_total", "Followers refused because as many follow the admin listener's stream as may.",
		func() float64 { return float64(t.Refused()) })
	a.metrics.GaugeFunc("hearth_stream_followers", "Followers of the admin listener's stream.",
		func() float64 { return float64(t.Followers()) })
	return t
}

// hottest are the hottest keys, for a tick.
func (a *App) hottest() (all []timeline.Hot) {
	for _, k := range a.cache.HotKeys(cache.HotByReads, hotInTick) {
		all = append(all, timeline.Hot(k)) // one shape, in two rooms that do not know each other
	}
	return all
}

// hotKeys lists the hottest keys in an order.
func (a *App) hotKeys(by string, most int) (keys any, ok bool) {
	if !slices.Contains(cache.HotOrders, cache.HotOrder(by)) {
		return nil, false
	}
	return a.cache.HotKeys(cache.HotOrder(by), most), true
}

// hotOrders are the names of the orders.
func hotOrders() (names []string) {
	for _, o := range cache.HotOrders {
		names = append(names, string(o))
	}
	return names
}

// checkTexts are the checks of /readyz as it shows them.
func (a *App) checkTexts() map[string]string { return admin.CheckTexts(a.checks(), a.notices()) }

// noteAudit makes an event of what the audit has found, where a promise was broken.
func (a *App) noteAudit(d cache.Disagreement) {
	if d.Cause.Broken() {
		a.timeline.Note("audit", false, d.Text())
	}
}

// validNow tells whether a credential opens a scope under the configuration that serves.
func (a *App) validNow(authorization [][]byte, scope auth.Scope) bool {
	_, result := a.current.Load().tokens.Check(authorization, scope)
	return result == auth.OK
}

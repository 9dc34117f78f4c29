package main

import (
	"net/http"
	"path/filepath"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/topology"
)

const (
	cutRevalidate = 2 * time.Second // memory.revalidate
	cutSlack      = 500 * time.Millisecond
	cutLasts      = 8 * time.Second // after the others have another master
	cutHeals      = 5 * time.Second // how long the one that was cut off may take to be well
)

// sentinelCut cuts the master off, with a sentinel and an instance on its side. All other
// servers have another master then, and write there. The instance that was cut off reads
// a server that answers and hears of nothing.
//
// A write waits for a replica: one that only the old master has heard of is not
// acknowledged.
func sentinelCut(t *trial) {
	d := topology.NewDivided(t, sentinelDown)
	there := backing{
		redis: d.URL(), replicas: 1, revalidate: cutRevalidate, upsert: upsertSQLite, wrap: d.Island.Wrap,
		database: "sqlite:" + filepath.Join(testkit.TempDir(t, "cut"), "rows.db"), // which both sides have
	}
	here := there
	here.wrap = nil
	fleet := t.start(there, here, here)
	m := &mix{records: t.records, readers: 2, writers: 4, batches: 1, allowed: t.within(linkTimeout + cutRevalidate + cutSlack)}
	tr := newTraffic(t, fleet, m)
	end := tr.begin(m)
	t.rest(t.calm + cutRevalidate)
	tr.forget()

	cut := tr.checker.Now()
	d.Island.Cut()
	took, ok := t.await(time.Minute, func() bool {
		now, err := d.Named()
		return err == nil && d.IsMaster(now)
	})
	t.Bound(ok, "the sentinels that are a majority fail over: after %v", took.Round(time.Millisecond))
	t.rest(cutLasts)
	last := time.Duration(tr.unmarked[0].Load())
	t.Bound(last <= cut+t.within(cutRevalidate+cutSlack), "the instance that is cut off answers without a mark for at most %v: for %v", cutRevalidate+cutSlack, max(0, last-cut).Round(time.Millisecond))
	got := fleet[0].Ask(http.MethodPut, "/row/-1", `{"v":1}`)
	t.Bound(got.Code >= http.StatusInternalServerError, "a PUT there is refused: %v", got)
	tr.wellOn(cut+took+t.within(sentinelWithin), "the instances that are not cut off", 1, 2)

	healed := tr.checker.Now()
	d.Island.Heal()
	t.rest(cutHeals + t.calm)
	tr.wellOn(healed+t.within(cutHeals), "when the cut has healed, the instance that was cut off", 0)
	end()
	tr.violations()
	tr.sweep("at the end")
	t.Figure("answers", "%v", tr.tallies[0])
}

// wellOn notes the bound that nothing was marked or refused on some instances since a
// time.
func (tr *traffic) wellOn(at time.Duration, what string, instances ...int) {
	in := map[int]bool{}
	for _, i := range instances {
		in[i] = true
	}
	first, n := tr.tallies[0].which(func(e event) bool { return e.at >= at && in[e.from] })
	tr.Bound(n == 0, "%s: since %v %d answers are marked or refused%s", what, at.Round(time.Millisecond), n, firstOf(first))
}

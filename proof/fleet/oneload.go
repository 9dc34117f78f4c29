package main

import (
	"strconv"
	"time"

	"hearth/bench/load"
)

// oneLoad lets all clients ask for the same cold key at once, for one key after another:
// within an instance readers join a flight, between instances a lease in Redis decides
// who loads.
func oneLoad(t *trial) {
	s := normal()
	s.Query = 100 * time.Millisecond
	f := t.assemble(s)
	all := t.connect(f, t.clients/instances, t.seed)
	different := 0
	for id := 1; id <= t.rounds; id++ {
		different += all.Together(t, func(*load.Client) string { return "/row/" + strconv.Itoa(id) })
	}
	sum := all.Total()
	w := t.observer.work()
	t.Figure("clients", "%d, %d on each instance; the query takes 100 ms", len(all), len(all)/instances)
	t.Figure("queries", "%d for %d keys; of any one key at most %d", w.begun, t.rounds, w.most)
	t.answers(sum)
	t.Times("latency", &sum.Times)
	rounds := int64(t.rounds)
	t.Bound(w.begun == rounds && w.ids == rounds && w.most == 1, "exactly 1 query for each of %d keys", t.rounds)
	t.Bound(sum.Found() == rounds*int64(len(all)), "every client gets 200: %d of %d", sum.Found(), rounds*int64(len(all)))
	t.Bound(different == 0, "all get the same record: %d got another", different)
}

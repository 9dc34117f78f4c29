package main

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// oneLoad lets all clients ask for the same cold key at the same moment, for one key
// after another.
func oneLoad(ctx context.Context, t *trial) (err error) {
	s := normal()
	s.Query = 100 * time.Millisecond
	f, err := t.assemble(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.disband()) }()
	all, err := f.gather(t.clients/instances, t.seed)
	if err != nil {
		return err
	}
	defer all.close()
	different := 0
	for id := 1; id <= t.rounds; id++ {
		d, err := all.together(ctx, func(*client) string { return "/row/" + strconv.Itoa(id) })
		if err != nil {
			return err
		}
		different += d
	}
	sum := all.total()
	a, err := t.witness.account(ctx)
	if err != nil {
		return err
	}
	t.figure("clients", "%d, %d on each instance; the query takes 100 ms", len(all), len(all)/instances)
	t.figure("queries", "%d for %d keys; of any one key at most %d", a.begun, t.rounds, a.most)
	t.tiers(sum)
	t.times("latency", &sum.times)
	rounds := int64(t.rounds)
	t.bound(a.begun == rounds && a.ids == rounds && a.most == 1, "exactly 1 query for each of %d keys", t.rounds)
	t.bound(sum.found() == rounds*int64(len(all)), "every client gets 200: %d of %d", sum.found(), rounds*int64(len(all)))
	t.bound(different == 0, "all get the same record: %d got another", different)
	return nil
}

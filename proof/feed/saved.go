package main

import (
	"fmt"
	"net/http"

	"hearth/internal/testkit"
)

// saved counts what the mark of own writes saves.
func saved(t *trial) {
	db := testkit.Postgres(t)
	g := onPostgres(t, db, lagRows)
	redis := testkit.Redis(t)
	s := settings{Redis: redis.URL(), Timeout: "10s", Lease: "12s"}
	t.install(g, s)
	f := t.start(g, instances, s)
	f.live()
	// A feed that was late meanwhile, on a machine that stood still, has what it did not tell
	// of in time loaded anew. That says nothing of marks.
	with := f.loadsPerPut("with the mark")
	for tries := 1; with > 0.1 && tries < 3; tries++ {
		f.live()
		with = f.loadsPerPut("with the mark, again")
	}
	db.Exec(`CREATE FUNCTION unmarked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.writer := NULL; RETURN NEW; END $$;
CREATE TRIGGER unmarked BEFORE INSERT ON hearth.feed FOR EACH ROW EXECUTE FUNCTION unmarked();`)
	without := f.loadsPerPut("when the database forgets it")
	f.Bound(with <= 0.1 && without >= 0.9, "a PUT costs %.2f loads of its row with the mark of own writes, and %.2f without", with, without)
	f.settled("afterwards", lagRows, one(redis), patience)
}

// loadsPerPut writes every row by one instance, waits until the feed has seen that, and
// reads it from all.
func (f *fleet) loadsPerPut(how string) float64 {
	f.Helper()
	puts := 0
	before := f.sum(`hearth_loads_total{resource="row",`)
	for round := range f.puts {
		for id := range lagRows {
			version := f.next.Add(1)
			if got := f.ins[round%len(f.ins)].Ask(http.MethodPut, fmt.Sprintf("/row/%d", id), fmt.Sprintf(`{"grp":%d,"v":%d}`, id/groupSize, version)); got.Code != http.StatusOK {
				f.Fatalf("a PUT is answered %v", got)
			}
			puts++
		}
		testkit.Eventually(f, patience, "the feed has seen the writes", func() bool { return f.ground.count(f.trial, f.ground.pending) == 0 })
		for _, in := range f.ins {
			for id := range lagRows {
				if got := in.Get(fmt.Sprintf("/row/%d", id)); got.Code != http.StatusOK {
					f.Fatalf("a row is answered %v", got)
				}
			}
		}
	}
	loads := f.sum(`hearth_loads_total{resource="row",`) - before
	f.Figure(how, "%d PUTs, each row read on all %d instances after: %.0f loads", puts, len(f.ins), loads)
	return loads / float64(puts)
}

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
)

// promotedWithin is how long after a promotion the first PUT may take to be through.
const promotedWithin = 3 * time.Second

// promotion is one way in which a standby becomes what the old primary was.
type promotion struct {
	name string
	pair func(tb testkit.TB, config ...string) (primary, standby *testkit.Database)
	url  func(primary, standby *testkit.Database, relay *testkit.Relay) string
	old  func(primary, standby *testkit.Database) // what becomes of the old primary before
	idle bool                                     // nobody asks for anything meanwhile, so that no connection learns of it
}

// Nothing that was acknowledged is lost by any of them: a killed PostgreSQL has had each
// COMMIT confirmed by its standby, and one that is demoted takes no more writes before
// the standby has all of them.
var (
	demoted = func(primary, standby *testkit.Database) {
		primary.SetReadOnly(true)
		standby.CatchUp(primary)
	}
	killed = func(primary, _ *testkit.Database) { primary.Kill() }
	frozen = func(primary, _ *testkit.Database) { primary.Pause() }

	overRelay = func(primary, _ *testkit.Database, relay *testkit.Relay) string { return primary.URLAt(relay.Addr()) }
	overHosts = func(primary, standby *testkit.Database, _ *testkit.Relay) string {
		return primary.URLAt(primary.Addr(), standby.Addr()) + "&target_session_attrs=read-write"
	}
)

func promotedPostgres(t *trial) {
	promoted(t, upsertPostgres,
		promotion{"the address moves, the old primary is read-only and keeps connections, which nobody uses meanwhile", testkit.PostgresPair, overRelay, demoted, true},
		promotion{"two hosts, the old primary is killed", testkit.PostgresPair, overHosts, killed, false},
		promotion{"two hosts, the old primary is read-only and keeps connections", testkit.PostgresPair, overHosts, demoted, false},
		promotion{"the address moves, the old primary is frozen", testkit.PostgresPair, overRelay, frozen, false},
	)
}

func promotedMariaDB(t *trial) {
	promoted(t, upsertMariaDB,
		promotion{"the address moves, the old primary is read-only and keeps connections, which nobody uses meanwhile", testkit.MariaDBPair, overRelay, demoted, true},
		promotion{"the address moves, the old primary is read-only and keeps connections", testkit.MariaDBPair, overRelay, demoted, false},
	)
}

func promoted(t *trial, upsert string, ways ...promotion) {
	for n := range max(t.moves, min(len(ways), t.moves*2)) {
		way := ways[n%len(ways)]
		if err := testkit.Run(t.Context(), func(tb testkit.TB) { t.of(tb).promote(upsert, way) }); err != nil {
			t.Bound(false, "%s: it was cut short: %v", way.name, err)
		}
	}
}

// promote plays one promotion, on servers of its own.
func (t *trial) promote(upsert string, way promotion) {
	t.Figure("", "%s", way.name)
	primary, standby := way.pair(t)
	relay := testkit.NewRelay(t, primary.Addr())
	cache := testkit.Redis(t)
	fleet := t.start(backing{redis: cache.URL(), database: way.url(primary, standby, relay), upsert: upsert}.times(2)...)
	m := &mix{records: t.records, readers: 2, writers: 4, loaders: 2, past: func() *outside.Client { return outside.One(cache) }, allowed: t.allowed()}
	tr := newTraffic(t, fleet, m)
	t.fillPools(fleet)
	end := tr.begin(m)
	t.rest(t.calm)
	if way.idle {
		tr.hold.Lock()
	}
	way.old(primary, standby)
	relay.Retarget(standby.Addr())
	standby.Promote()
	at := tr.checker.Now()
	t.movedOn(tr, at, t.within(promotedWithin))
	if way.idle {
		tr.hold.Unlock()
	}
	t.rest(t.calm)
	tr.allWellSince(at + t.within(promotedWithin+2*time.Second))
	end()
	tr.violations()
	tr.sweep("after the promotion")
	tr.compare(standby)
}

// fillPools has each instance open as many connections to the database as it may, by
// asking for what is not there.
func (t *trial) fillPools(fleet []*launch.Instance) {
	const atOnce = 64
	for i, in := range fleet {
		for round := range 3 {
			var answers []<-chan launch.Reply
			for n := range atOnce {
				answers = append(answers, in.Begin(http.MethodGet, fmt.Sprintf("/row/-%d", 1000+atOnce*(3*i+round)+n), ""))
			}
			for _, answer := range answers {
				<-answer
			}
		}
	}
}

// compare notes the bound that the database has what was acknowledged.
func (tr *traffic) compare(db *testkit.Database) {
	has := map[string]int64{}
	for _, row := range db.Query("SELECT id, v FROM numbers") {
		version, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			tr.Fatal(err)
		}
		has["row:"+row[0]] = version
	}
	lost := 0
	example := ""
	for _, r := range tr.records {
		if has[r.Name] < r.Latest() {
			lost++
			example = fmt.Sprintf(", such as %s, which has version %d of %d", r.Name, has[r.Name], r.Latest())
		}
	}
	tr.Bound(lost == 0, "of %d records, %d have lost an acknowledged write in the database%s", len(tr.records), lost, example)
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"hearth/internal/testkit"
)

// place is a Redis at an address of its own.
type place struct {
	*testkit.RedisServer
	host, port string
}

// moved lets the address of a single Redis lead to another server, as a proxy, a virtual
// address or a managed endpoint does.
func moved(t *trial) {
	a, b := placed(testkit.Redis(t)), placed(testkit.Redis(t))
	relay := testkit.NewRelay(t, a.Addr())
	t.move(a, b, backing{redis: "redis://" + relay.Addr()}, func(to place) { relay.Retarget(to.Addr()) })
}

func placed(server *testkit.RedisServer) place {
	host, port, _ := strings.Cut(server.Addr(), ":")
	return place{server, host, port}
}

// movedName lets a name resolve to another server.
func movedName(t *trial) {
	a := placed(testkit.Redis(t))
	b := place{testkit.Redis(t, testkit.WithConfig("bind 127.0.0.2", "port "+a.port)), "127.0.0.2", a.port} // a name has no port
	names := testkit.NewNames(t, a.host)
	t.move(a, b, backing{redis: "redis://" + testkit.NamedHost + ":" + a.port, wrap: names.Wrap}, func(to place) { names.Lead(to.host) })
}

// move moves an address there and back. The server before becomes each time something
// else, keeps every connection that it has, and takes no writes from then on.
func (t *trial) move(a, b place, at backing, lead func(to place)) {
	at.database = testkit.Postgres(t).URL()
	pad(a)
	b.follow(a)
	fleet := t.start(at.times(2)...)
	m := &mix{records: t.records, readers: 2, writers: 4, batches: 1, allowed: t.allowed()}
	tr := newTraffic(t, fleet, m)
	end := tr.begin(m)
	bound := t.within(linkTimeout + 2*time.Second)
	for n := range t.moves {
		t.rest(t.calm)
		testkit.Eventually(t, startWithin, "the replica follows its master", func() bool {
			return strings.Contains(b.Text("INFO", "replication"), "master_link_status:up")
		})
		way := becomes[(n+t.first)%len(becomes)]
		t.Figure("", "the old server becomes %s", way.name)
		// As an operator does it: what the old server acknowledged behind the new one's back
		// would be lost, and whoever reads it there could not tell.
		a.Do("CLIENT", "PAUSE", "60000", "WRITE")
		testkit.Eventually(t, startWithin, "the replica has all", func() bool { return offsetOf(a) == offsetOf(b) })
		lead(b)
		b.Do("REPLICAOF", "NO", "ONE")
		way.turn(t, a, b)
		if !a.Paused() {
			a.Do("CLIENT", "UNPAUSE")
		}
		at := tr.checker.Now()
		t.movedOn(tr, at, bound)
		t.rest(linkTimeout + 3*time.Second) // what is held back until all agree on the new server
		tr.allWellSince(at + bound + 2*time.Second)
		a.anew(b)
		a, b = b, a
	}
	end()
	tr.violations()
	tr.sweep("after the last move")
	t.Figure("answers", "%v", tr.tallies[0])
}

// follow makes a server the replica of another.
func (p place) follow(master place) { p.Do("REPLICAOF", master.host, master.port) }

// offsetOf is how far a server is in the stream of its writes, or of its master's.
func offsetOf(p place) string {
	_, text, _ := strings.Cut(p.Text("INFO", "replication"), "master_repl_offset:")
	offset, _, _ := strings.Cut(text, "\r")
	return offset
}

// movedAtMost is how much longer than allowed the first write is waited for.
const movedAtMost = 10 * time.Second

// askEvery is the pause between two tries of a client that sends on.
const askEvery = 100 * time.Millisecond

// movedOn notes the bound of the first write through, on each instance by itself.
func (t *trial) movedOn(tr *traffic, at, bound time.Duration) {
	took := make([]time.Duration, len(tr.fleet))
	var clients sync.WaitGroup
	for i, in := range tr.fleet {
		clients.Go(func() {
			for ok := false; !ok && took[i] < bound+movedAtMost && testkit.Sleep(t.Context(), askEvery); {
				ok = in.Ask(http.MethodPut, fmt.Sprintf("/row/-%d", i+1), `{"v":1}`).Code == http.StatusOK
				took[i] = tr.checker.Now() - at
			}
		})
	}
	clients.Wait()
	for i := range took {
		t.Bound(took[i] <= bound, "instance %d: the first write is through %v after the move, within %v", i+1, took[i].Round(time.Millisecond), bound)
	}
}

// allWellSince notes the bound that nothing was marked or refused since a time.
func (tr *traffic) allWellSince(at time.Duration) {
	for group := range tr.groups {
		tr.wellSince(group, at)
	}
}

// wellSince is allWellSince for one group.
func (tr *traffic) wellSince(group int, at time.Duration) {
	first, n := tr.tallies[group].since(at)
	tr.Bound(n == 0, "%s: since %v %d answers are marked or refused%s", tr.groups[group], at.Round(time.Millisecond), n, firstOf(first))
}

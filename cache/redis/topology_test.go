package redis

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// unopened is a tier that has connected to nothing.
func unopened(t *testing.T) *Tier {
	t.Helper()
	c := Config{URL: "redis://127.0.0.1:1", LinkTimeout: time.Second, Lease: time.Second, Revalidate: time.Minute, Log: slog.New(slog.DiscardHandler)}
	tier, err := New(c, memory.New(memory.Config{Budget: 1 << 20}), &told{})
	if err != nil {
		t.Fatal(err)
	}
	return tier
}

// claims is a view in which each master has a third of the slots, and a replica.
func claims(epoch int64, masters ...string) *clusterView {
	view := &clusterView{}
	for i, addr := range masters {
		r := slotRange{uint16(slotCount * i / len(masters)), uint16(slotCount*(i+1)/len(masters) - 1)}
		view.claims = append(view.claims, slotClaim{slotRange: r, addr: addr, replicas: []string{addr + "0"}, epoch: epoch})
	}
	return view
}

// TestWhoTakesWhosePlace: a replica that is promoted takes its master's place; a master
// that gets slots of another, or joins, takes nobody's.
func TestWhoTakesWhosePlace(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel() // the keepers end at once
	f := func(name string, want map[string]string, gone []string, views ...*clusterView) {
		t.Helper()
		tier := unopened(t)
		tier.adoptTopology(over, nil, []*clusterView{claims(1, "h:1", "h:2", "h:3")})
		before := tier.topology.Load()
		tier.adoptTopology(over, before, views)
		next := tier.topology.Load()
		for addr, n := range next.nodes {
			after := ""
			if n.after != nil {
				after = n.after.name
			}
			if after != want[addr] {
				t.Errorf("%s: %s takes the place of %q, want %q", name, addr, after, want[addr])
			}
		}
		for addr := range before.nodes {
			if (next.nodes[addr] == nil) != slices.Contains(gone, addr) {
				t.Errorf("%s: %s is still there: %v", name, addr, next.nodes[addr] != nil)
			}
		}
		tier.running.Wait()
	}
	f("nothing has changed", nil, nil, claims(1, "h:1", "h:2", "h:3"))
	f("a replica is promoted", map[string]string{"h:10": "h:1"}, []string{"h:1"}, claims(2, "h:10", "h:2", "h:3"))
	joined := claims(1, "h:1", "h:2", "h:3")
	joined.idle = []string{"h:4"}
	f("a master joins", nil, nil, joined)
	moved := claims(1, "h:1", "h:2", "h:3")
	moved.claims[0].last -= 1000
	moved.claims = append(moved.claims, slotClaim{slotRange: slotRange{moved.claims[0].last + 1, moved.claims[0].last + 1000}, addr: "h:4", epoch: 2})
	f("slots move to one that has joined", nil, nil, moved)
	demoted := claims(2, "h:10", "h:2", "h:3")
	demoted.idle = []string{"h:1"} // not known yet to be a replica by now
	f("a replica is promoted, and its master is one without slots", map[string]string{"h:10": "h:1"}, []string{"h:1"}, demoted)
	f("a node behind the others does not count", map[string]string{"h:10": "h:1"}, []string{"h:1"}, claims(1, "h:1", "h:2", "h:3"), claims(2, "h:10", "h:2", "h:3"))
	f("whichever is asked first", map[string]string{"h:10": "h:1"}, []string{"h:1"}, claims(2, "h:10", "h:2", "h:3"), claims(1, "h:1", "h:2", "h:3"))
	f("a stranger has all slots of one that is gone", map[string]string{"h:9": "h:2"}, []string{"h:2"}, claims(2, "h:1", "h:9", "h:3"))
}

// TestMembersOfACluster reads what CLUSTER NODES says of masters that may be used.
func TestMembersOfACluster(t *testing.T) {
	t.Parallel()
	f := func(line string, want member) {
		t.Helper()
		if got := readMembers(line + "\n")["id"]; got != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
	f("id 127.0.0.1:7000@17000 myself,master - 0 0 7 connected 0-5460", member{host: "127.0.0.1", port: "7000", epoch: 7, master: true})
	f("id 127.0.0.1:7000@17000,name master - 0 0 7 connected", member{host: "127.0.0.1", port: "7000", name: "name", epoch: 7, master: true})
	f("id ::1:7000@17000 master - 0 0 7 connected", member{host: "::1", port: "7000", epoch: 7, master: true})
	f("id 127.0.0.1:7000@17000 slave other 0 0 7 connected", member{host: "127.0.0.1", port: "7000", epoch: 7})
	f("id 127.0.0.1:7000@17000 master,fail - 0 0 7 disconnected", member{host: "127.0.0.1", port: "7000", epoch: 7})
	f("id 127.0.0.1:7000@17000 master,fail? - 0 0 7 connected", member{host: "127.0.0.1", port: "7000", epoch: 7, master: true})
	f("id :0@0 master,noaddr - 0 0 7 disconnected", member{port: "0", epoch: 7})
	f("id 127.0.0.1:7000@17000 handshake - 0 0 0 connected", member{host: "127.0.0.1", port: "7000"})
	f("id 127.0.0.1:7000", member{})
}

// TestTheMajorityOfTheSentinels: the master is the one that more than half of those that
// are configured name, by votes that are young.
func TestTheMajorityOfTheSentinels(t *testing.T) {
	t.Parallel()
	const lasts = time.Minute
	s := newSentinels(Config{Revalidate: time.Hour, Log: slog.New(slog.DiscardHandler)}, []string{"a", "b", "c"}, "mymaster")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	f := func(who int, names string, age time.Duration, moved bool, want string) {
		t.Helper()
		v := vote{addr: names, at: time.Now().Add(-age)}
		if names == "" {
			v.err = fmt.Errorf("sentinel %d is away", who)
		}
		if got := s.count(who, v, lasts); got != moved {
			t.Errorf("%d names %q: the master has moved: %v, want %v", who, names, got, moved)
		}
		got, err := s.master(over)
		if want == "" && err == nil || want != "" && (err != nil || got[0] != want) {
			t.Errorf("%d names %q: the master is %q, %v, want %q", who, names, got, err, want)
		}
	}
	f(0, "one", 0, false, "")
	f(1, "", 0, false, "")
	f(2, "one", 0, true, "one")
	f(0, "two", 0, false, "one") // one that knows more, or is cut off
	f(1, "two", 0, true, "two")
	f(2, "", 0, false, "two")
	s.votes[0].at = time.Now().Add(-lasts / 2)
	f(1, "two", 0, false, "two")
	if age := time.Since(s.confirmed); age < lasts/2 {
		t.Errorf("the majority is %v old, want as old as its older vote", age)
	}
	f(1, "one", 0, false, "two") // no majority: the last holds
	f(2, "one", 2*lasts, false, "two")
	s.confirmed = time.Now().Add(-2 * time.Hour) // … for memory.revalidate
	f(2, "", 0, false, "")
	f(0, "one", 0, true, "one")
}

// TestRecentKeys are remembered for one to two minutes, and bounded.
func TestRecentKeys(t *testing.T) {
	t.Parallel()
	r := recentKeys{most: maxTold}
	every := func(string) bool { return true }
	r.note("a")
	r.note("b")
	if got := r.all(func(key string) bool { return key == "a" }); !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %q, want a", got)
	}
	age := func(d time.Duration) {
		for i := range r.shards {
			r.shards[i].since = r.shards[i].since.Add(-d)
		}
	}
	age(recentFor + time.Second)
	r.note("c")
	if got := r.all(every); len(got) != 3 || got[0] != "c" {
		t.Errorf("after a minute: got %q, want c first, and both others", got)
	}
	r.note("a") // again
	age(recentFor + time.Second)
	got := r.all(every)
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("after two minutes: got %q, want what was written again, and c", got)
	}
	age(3 * recentFor)
	if got := r.all(every); len(got) != 0 {
		t.Errorf("long after: got %q", got)
	}
	if !r.whole() {
		t.Error("a key was forgotten before its time")
	}
	for i := range 3 * recentShards * maxTold {
		r.note(fmt.Sprint("key ", i))
	}
	if n := len(r.all(every)); n > 2*recentShards*maxTold || n < recentShards*maxTold {
		t.Errorf("of many, %d are remembered", n)
	}
	if r.whole() {
		t.Error("nobody is told that keys were forgotten")
	}
	r.forgotten.Add(-int64(recentFor) - 1)
	if !r.whole() {
		t.Error("what was forgotten long ago is told for ever")
	}
}

// TestMuchThatIsToldPushesOutNothingWritten, and whoever asks is told that keys of it were
// forgotten.
func TestMuchThatIsToldPushesOutNothingWritten(t *testing.T) {
	t.Parallel()
	var tier Tier
	tier.written.most, tier.told.most = 2, 2
	every := func(string) bool { return true }
	tier.written.note("written")
	tier.told.note("told")
	if written, told := tier.remembered(every); len(written) != 1 || len(told) != 1 || tier.Generation() != (shared.Generation{}) {
		t.Errorf("remembered: %q, %q, %+v", written, told, tier.Generation())
	}
	for i := range 1000 {
		tier.told.note(fmt.Sprint("told ", i))
	}
	if written, told := tier.remembered(every); !slices.Equal(written, []string{"written"}) || len(told) > 4*recentShards {
		t.Errorf("remembered: %q, and %d others", written, len(told))
	}
	if got := tier.Generation().Forgotten; got != 1 {
		t.Errorf("keys were forgotten %d times, want once", got)
	}
}

// TestRedirections are read as Redis writes them.
func TestRedirections(t *testing.T) {
	t.Parallel()
	f := func(reply, addr string, ask bool) {
		t.Helper()
		err := replied(t, reply)
		got, isAsk, ok := redirection(err, "10.0.0.1:7000")
		if got != addr || isAsk != ask || ok != (addr != "") {
			t.Errorf("%q: got %q, ask %v, %v, want %q, ask %v (%v)", reply, got, isAsk, ok, addr, ask, err)
		}
	}
	f("MOVED 3999 127.0.0.1:6381", "127.0.0.1:6381", false)
	f("ASK 3999 name:6381", "name:6381", true)
	f("MOVED 3999 :6381", "10.0.0.1:6381", false)
	f("MOVED 3999 ?:6381", "10.0.0.1:6381", false)
	f("MOVED 3999 ::1:6381", "[::1]:6381", false)
	f("MOVED 3999", "", false)
	f("ERR no", "", false)
}

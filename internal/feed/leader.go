package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"hearth/cache/shared"
	"hearth/internal/source/outbox"
)

// Keys of the feed in the shared tier.
const (
	LeaderKey = "hearth:feed"       // the lease of the one that drains, with its Note
	FleetKey  = "hearth:feed:fleet" // which fleet this is, with what its leader knows of the database
	canaryKey = "hearth:feed:canary"
)

// Lifetimes in the shared tier. A leader that dies is replaced after leaseTTL and a
// look; the fleet's name outlives everything but the loss of the shared tier, after
// which the instances that are left write it again.
const (
	leaseTTL = 2 * time.Second
	fleetTTL = 30 * 24 * time.Hour
)

// Note is what the leader tells the fleet, in its lease. Instances take the feed for
// live as long as Drained grows.
type Note struct {
	Instance string `json:"instance"`
	Drained  int64  `json:"drained"` // how often nothing was left to be done
	Backlog  int64  `json:"backlog"` // rows that wait
	AgeMS    int64  `json:"age_ms"`  // how long ago that was, when the note was written
	LagMS    int64  `json:"lag_ms"`  // of the latest canary
}

// ReadNote reads the text of the lease: who holds it, and the note.
func ReadNote(lease []byte) (holder string, n Note, ok bool) {
	holder, note := shared.LeaderOf(lease)
	return holder, n, json.Unmarshal(note, &n) == nil
}

// memory is what the fleet knows of the database, beside its name. A database that knows
// less has lost commits: it was restored, or another server has taken over without them.
type memory struct {
	Beat    int64            `json:"beat"`
	Servers map[string]int64 `json:"servers"` // that answered lately → the beat of then
}

// knownFor is for how many beats a server is remembered. Behind a balancer several may
// answer in turn; one that comes anew may lack what others had.
const knownFor = 60

// lacks tells whether a beat shows that the database may lack commits which the fleet has
// seen: the number does not grow, or a server answers that was not there before.
func (m memory) lacks(p outbox.Pulse) bool {
	if m.Beat == 0 {
		return false
	}
	_, seen := m.Servers[p.Server]
	return p.Number <= m.Beat || len(m.Servers) > 0 && !seen
}

// after is what is known after a beat.
func (m memory) after(p outbox.Pulse) memory {
	next := memory{Beat: p.Number, Servers: map[string]int64{p.Server: p.Number}}
	for server, beat := range m.Servers {
		if server != p.Server && p.Number >= beat && p.Number-beat < knownFor {
			next.Servers[server] = beat
		}
	}
	return next
}

// leadership is this instance's part in deciding who drains. It belongs to the
// drainer's goroutine.
type leadership struct {
	feed *Feed
	note Note

	// The lease.
	held      bool
	announced bool      // the log says so
	since     time.Time // when it was taken
	renewed   time.Time // when it was taken or renewed last
	drainedAt time.Time // when the reads began behind which nothing was left

	// What the fleet knows of the database.
	fleet    string
	former   []string // names that it had before its shared tier was lost
	joined   time.Time
	beaten   time.Time // when the latest beat was noted
	known    memory    // as of the latest beat of anybody in this fleet
	standing int64     // the beat that stands in the shared tier
	missing  int64     // beats that the shared tier has lost
	mine     int64     // the latest beat of this process, …
	mineFrom int64     // … and the first of those in front of it that are all of this process

	tierLost, databaseLost bool // and not mended yet
	unconfirmed            bool // the beat in the shared tier is still that of before the loss

	stranger string    // another fleet that has the outbox, …
	met      time.Time // … since when, …
	told     bool      // … and whether the log says so
}

// renewEvery is how often the lease is renewed, and asked for.
const renewEvery = 250 * time.Millisecond

// beatEvery is how often the leader notes in the database that it is there.
const beatEvery = time.Second

// ask takes or renews the lease, if it is time to. It is called after the outbox has
// answered, and during long work after each part of it that succeeded: so a lease that is
// renewed proves the database and the shared tier in one.
func (l *leadership) ask(now time.Time) error {
	if now.Sub(l.renewed) < renewEvery && l.held {
		return nil
	}
	if !l.drainedAt.IsZero() {
		l.note.AgeMS = now.Sub(l.drainedAt).Milliseconds()
	}
	note, err := json.Marshal(l.note)
	if err != nil {
		return fmt.Errorf("writing the leader's note: %w", err)
	}
	ctx, cancel := l.feed.within()
	defer cancel()
	_, held, err := l.feed.cfg.Cache.Lead(ctx, LeaderKey, l.feed.holder, note, leaseTTL)
	if err != nil {
		l.drop()
		return fmt.Errorf("asking for the feed's lease: %w", err)
	}
	if l.renewed = now; held && !l.held {
		l.held, l.since, l.beaten = true, now, time.Time{} // whose the outbox is may have changed
	} else if !held {
		l.drop()
	}
	l.feed.Leader.Store(held)
	return nil
}

// rememberedFor is for how long a process remembers at least what it has removed from the
// shared tier; see shared.Generation.
const rememberedFor = time.Minute

// remembers tells whether all that the shared tier has lost was removed by this process,
// and lately: then it is removed again without the feed. With a beat of another among the
// lost ones there were two leaders: one that was cut off with a former master of Redis goes
// on to drain, and what it removes there nobody else remembers.
func (l *leadership) remembers(now time.Time) bool {
	return l.held && l.standing+1 >= l.mineFrom && l.lost() < rememberedFor && now.Sub(l.since) > l.lost()
}

// lost is how far the shared tier has gone back, at most; 0 if it has not, as far as beats
// tell.
func (l *leadership) lost() time.Duration {
	if !l.tierLost {
		return 0
	}
	return time.Duration(l.missing+2) * beatEvery
}

// drop forgets the lease, of which nothing is known any more.
func (l *leadership) drop() {
	if l.announced {
		l.feed.cfg.Log.Info("the change feed: this instance leaves the outbox to another", "instance", l.feed.cfg.Instance)
	}
	l.held, l.announced = false, false
	l.feed.Leader.Store(false)
}

// yield gives the lease back, so that another instance need not wait for its end.
func (l *leadership) yield() {
	if !l.held {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.feed.cfg.Cache.Yield(ctx, LeaderKey, l.feed.holder) // else it ends by itself
	l.drop()
}

// patience is how long another fleet is waited for: it beats once a second, and may miss
// some beats.
const patience = 5 * beatEvery

// errStranger says that another fleet drains the outbox.
var errStranger = errors.New("another fleet drains this outbox")

// beat notes in the database that this fleet drains the outbox, if it is time to. It sets
// databaseLost if the database has lost commits since the fleet knew it, or may have, and
// tierLost if the shared tier has lost what was removed there.
//
// The database and the shared tier hold the same number. The one that has a lower one has
// lost something: the database commits, the shared tier what was removed there.
func (l *leadership) beat(now time.Time) error {
	if now.Sub(l.beaten) < beatEvery {
		return nil
	}
	if err := l.join(); err != nil {
		return err
	}
	ctx, cancel := l.feed.within()
	defer cancel()
	p, err := l.feed.cfg.Outbox.Beat(ctx, outbox.Beat{
		Fleet: l.fleet, Former: l.former, Instance: l.feed.cfg.Instance, Patience: patience,
	})
	if !l.beaten.IsZero() && err != nil && l.feed.cfg.Outbox.Busy(err) {
		// Somebody holds the lock that a beat needs. What is committed can be drained all
		// the same, and this fleet had the outbox a moment ago.
		l.beaten = now
		return nil
	}
	if err != nil {
		return err
	}
	if !p.Held {
		return l.meet(p.Fleet, now)
	}
	if l.stranger, l.beaten = "", now; !l.announced && l.held {
		l.announced = true
		l.feed.cfg.Log.Info("the change feed: this instance drains the outbox", "instance", l.feed.cfg.Instance)
	}
	if p.Number-1 != l.mine {
		l.mineFrom = p.Number
	}
	l.mine = p.Number
	// While what was lost is being mended the shared tier lags behind on purpose.
	if l.missing = p.Number - 1 - l.standing; l.missing > 0 && !l.unconfirmed {
		l.tierLost = true
	}
	if l.known.lacks(p) {
		l.databaseLost = true
		l.feed.cfg.Log.Warn("the database is not where it was: it was restored, or another server answers, which may lack the latest commits; all watched records are removed from the cache",
			"beat", p.Number, "seen", l.known.Beat, "server", p.Server)
	}
	l.known = l.known.after(p)
	l.unconfirmed = l.unconfirmed || l.tierLost || l.databaseLost
	if l.unconfirmed {
		return nil // noted by confirm when that is mended: a leader that dies before leaves it to the next one
	}
	return l.confirm()
}

// meet notes that the outbox is another fleet's. One that is gone for good, such as this
// one before its shared tier was lost, is waited for without a word.
func (l *leadership) meet(fleet string, now time.Time) error {
	if l.stranger != fleet {
		l.stranger, l.met, l.told = fleet, now, false
	}
	if !l.told && now.Sub(l.met) > 2*patience {
		l.told = true
		l.feed.cfg.Log.Error("another fleet drains the outbox of this database, so the change feed is not live here: instances that do not share one Redis cannot share one outbox; "+
			"let all instances use one Redis, or set feed.mode = \"off\" here", "fleet", fleet, "this", l.fleet)
	}
	l.yield() // another instance may know more names of this fleet
	return fmt.Errorf("%w: %q", errStranger, fleet)
}

// confirm writes what is known.
func (l *leadership) confirm() error {
	text, err := json.Marshal(l.known)
	if err != nil {
		return fmt.Errorf("writing what is known of the database: %w", err)
	}
	ctx, cancel := l.feed.within()
	defer cancel()
	standing, held, err := l.feed.cfg.Cache.Lead(ctx, FleetKey, l.fleet, text, fleetTTL)
	if err != nil {
		return fmt.Errorf("noting the fleet: %w", err)
	}
	if l.unconfirmed = false; !held { // somebody has named the fleet anew, after the shared tier was lost
		l.adopt(standing)
	}
	return nil
}

// join learns the fleet's name, or gives it one. Every instance does, about once a second:
// after the shared tier was lost one that knows no name may be the first to give it one.
// Then the others know that the one in the database was theirs.
func (l *leadership) join() error {
	l.joined = l.feed.now()
	name := l.fleet
	if name == "" {
		name = shared.NewToken()
	}
	ctx, cancel := l.feed.within()
	defer cancel()
	standing, err := l.feed.cfg.Cache.Peek(ctx, FleetKey)
	if err != nil {
		return fmt.Errorf("asking for the fleet's name: %w", err)
	}
	if standing != nil {
		l.adopt(standing)
		return nil
	}
	l.standing = 0
	text, err := json.Marshal(l.known)
	if err != nil {
		return fmt.Errorf("writing what is known of the database: %w", err)
	}
	standing, held, err := l.feed.cfg.Cache.Lead(ctx, FleetKey, name, text, fleetTTL)
	if err != nil {
		return fmt.Errorf("naming the fleet: %w", err)
	}
	if l.fleet = name; !held {
		l.adopt(standing)
	}
	return nil
}

// adopt takes over what stands beside the fleet's name.
func (l *leadership) adopt(standing []byte) {
	name, text := shared.LeaderOf(standing)
	var m memory
	known := json.Unmarshal(text, &m) == nil
	l.standing = m.Beat
	if known && (m.Beat >= l.known.Beat || name != l.fleet) {
		l.known = m
	}
	if name != l.fleet && l.fleet != "" && !slices.Contains(l.former, l.fleet) {
		l.former = append(l.former, l.fleet)[max(0, len(l.former)-maxFormer):]
	}
	l.fleet = name
}

// maxFormer bounds the names of the fleet that an instance remembers.
const maxFormer = 16

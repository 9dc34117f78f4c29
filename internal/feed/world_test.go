package feed

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/param"
	"hearth/internal/source/outbox"
)

// world is a database with its outbox and a shared tier, whose steps a test orders as it
// likes, and in which each call of a feed can be made to fail before or after it has had
// its effect. The real ones are in the tests of the whole program; here it is the order
// that is tested.
type world struct {
	t     *testing.T
	clock time.Time
	log   bytes.Buffer // of all instances

	// The database.
	records map[int]int // the version of each record
	rows    map[int64]outbox.Row
	kept    map[int64]outbox.Row
	hidden  map[int64]outbox.Row // of transactions that are open
	nextID  int64
	sets    []outbox.Set
	faults  []outbox.Fault
	drain   struct {
		fleet  string
		beat   int64
		server string
		at     time.Time
	}
	server string
	locked bool // rows cannot be taken out

	// The shared tier.
	copies     map[string]int // the version of each copy
	leases     map[string]lease
	own        map[string]string // marks of own writes: key → token
	generation shared.Generation
	asked      []shared.Outdated
	away       map[string]bool // keys that cannot be reached

	// fail is asked before and after each call: an error is what the call returns.
	fail func(call string, after bool) error
}

type lease struct {
	text    string
	expires time.Time
}

const ordersSet = 7

func newWorld(t *testing.T) *world {
	return &world{
		t: t, clock: time.Unix(1_000_000, 0), records: map[int]int{}, rows: map[int64]outbox.Row{}, kept: map[int64]outbox.Row{}, hidden: map[int64]outbox.Row{}, nextID: 1,
		sets:   []outbox.Set{userSet(), orderSet()},
		copies: map[string]int{}, leases: map[string]lease{}, own: map[string]string{}, server: "a",
		fail: func(string, bool) error { return nil },
	}
}

// userSet watches users; orderSet finds the users of orders by a query.
func userSet() outbox.Set {
	return outbox.Set{ID: 1, Table: "users", Captured: []string{"id"}, Version: outbox.Version, Meanings: []outbox.Meaning{
		{Resource: "user", Key: "user:{id}", Params: []outbox.Param{{Name: "id", Type: "int", Column: "id"}}},
	}}
}

func orderSet() outbox.Set {
	return outbox.Set{ID: ordersSet, Table: "products", Captured: []string{"id"}, Version: outbox.Version, Meanings: []outbox.Meaning{
		{Resource: "orders", Key: "orders:{user}", Params: []outbox.Param{{Name: "user", Type: "int"}}, Keys: "SELECT …"},
	}}
}

// instance is a process of the fleet: its drainer, driven round by round, and what its
// resources were told.
type instance struct {
	*drainer
	inspector inspector
	degraded  map[string]time.Time
}

func (w *world) instance(name string) *instance {
	f := New(Config{
		Instance: name, Outbox: w, Cache: w, Timeout: time.Minute, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		OnLag:    func(time.Duration) {},
		Settings: Settings{Poll: 5 * time.Millisecond, DegradedAfter: 5 * time.Second, DegradedTTL: 30 * time.Second, FlushBacklog: 1_000_000},
	})
	w.t.Cleanup(f.Close)
	f.now = func() time.Time { return w.clock }
	f.state.began = w.clock
	i := &instance{drainer: newDrainer(f), inspector: inspector{Feed: f}, degraded: map[string]time.Time{}}
	var resources []Resource
	for _, s := range w.sets {
		m := s.Meanings[0]
		key, wrong := param.ParseTemplate(m.Key)
		if wrong != "" {
			w.t.Fatal(wrong)
		}
		params := []param.Param{{Name: m.Params[0].Name, Type: param.Int}}
		resources = append(resources, Resource{
			Name: m.Resource, Key: key, Params: params, Watched: true,
			Degrade: func(since time.Time) { i.degraded[m.Resource] = since },
			Restore: func() { delete(i.degraded, m.Resource) },
		})
	}
	f.Use(resources, w.sets, *f.settings.Load())
	return i
}

// step runs one round and what the observer does.
func (i *instance) step() error {
	i.inspector.inspect(i.now())
	_, err := i.round()
	i.look()
	i.judge()
	return err
}

// commit changes a record, and its row becomes visible at once.
func (w *world) commit(id int, writer string) { w.show(w.write(id, writer)) }

// write changes a record in a transaction that is still open.
func (w *world) write(id int, writer string) (row int64) {
	row = w.nextID
	w.nextID++
	w.hidden[row] = outbox.Row{ID: row, Set: 1, Data: json.RawMessage(fmt.Sprintf(`[{"id":%d}]`, id)), Writer: writer}
	return row
}

// show commits a transaction.
func (w *world) show(row int64) {
	r := w.hidden[row]
	delete(w.hidden, row)
	w.rows[row] = r
	var changed []struct {
		ID int `json:"id"`
	}
	if json.Unmarshal(r.Data, &changed) == nil {
		for _, c := range changed {
			w.records[c.ID]++
		}
	}
}

// load puts a copy of the record as it is now into the shared tier.
func (w *world) load(id int) { w.copies["user:"+strconv.Itoa(id)] = w.records[id] }

// stale lists the copies that are older than the database.
func (w *world) stale() (all []string) {
	for key, version := range w.copies {
		id, err := strconv.Atoi(strings.TrimPrefix(key, "user:"))
		if err == nil && version != w.records[id] {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// call makes a call fail where the test wants it to.
func (w *world) call(name string, effect func()) error {
	if err := w.fail(name, false); err != nil {
		return err
	}
	effect()
	return w.fail(name, true)
}

func (w *world) read(from map[int64]outbox.Row, after int64, most int) (rows []outbox.Row) {
	if len(from) == 0 {
		return nil
	}
	for _, r := range from {
		if r.ID > after {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b outbox.Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows[:min(most, len(rows))]
}

func (w *world) Read(_ context.Context, after int64, most int) (rows []outbox.Row, err error) {
	err = w.call("Read", func() { rows = w.read(w.rows, after, most) })
	return rows, err
}

func (w *world) Kept(_ context.Context, after int64, most int) (rows []outbox.Row, err error) {
	err = w.call("Kept", func() { rows = w.read(w.kept, after, most) })
	return rows, err
}

var errLocked = errors.New("locked")

func (w *world) Done(_ context.Context, ids []int64) error {
	if w.locked {
		return errLocked
	}
	return w.call("Done", func() {
		for _, id := range ids {
			delete(w.rows, id)
		}
	})
}

func (w *world) Keep(_ context.Context, ids []int64) error {
	return w.call("Keep", func() {
		for _, id := range ids {
			if r, ok := w.rows[id]; ok {
				w.kept[id] = r
			}
			delete(w.rows, id)
		}
	})
}

func (w *world) Expire(context.Context, time.Duration) error { return nil }

func (w *world) Canary(context.Context) error {
	if w.locked {
		return errLocked
	}
	return w.call("Canary", func() {
		w.rows[w.nextID] = outbox.Row{ID: w.nextID, Set: outbox.Canary}
		w.nextID++
	})
}

func (w *world) Flush(_ context.Context, resources []string) error {
	data, err := json.Marshal(resources)
	w.rows[w.nextID] = outbox.Row{ID: w.nextID, Set: outbox.Flush, Data: data}
	w.nextID++
	return err
}

func (w *world) Missing(error) bool { return false }

func (w *world) Size(context.Context) (outbox.Size, error) {
	return outbox.Size{Rows: int64(len(w.rows)), Oldest: time.Second}, nil
}

func (w *world) Moved(context.Context) (bool, error) { return true, nil }
func (w *world) Lost()                               {}
func (w *world) Lazy() bool                          { return false }
func (w *world) Heals() bool                         { return false }
func (w *world) Busy(err error) bool                 { return errors.Is(err, errLocked) }

func (w *world) Beat(_ context.Context, b outbox.Beat) (p outbox.Pulse, err error) {
	if w.locked {
		return p, errLocked
	}
	err = w.call("Beat", func() {
		d := &w.drain
		p = outbox.Pulse{Fleet: d.fleet, Number: d.beat, Before: d.server, Server: w.server}
		if d.fleet != "" && d.fleet != b.Fleet && !slices.Contains(b.Former, d.fleet) && w.clock.Sub(d.at) < b.Patience {
			return
		}
		d.fleet, d.server, d.at = b.Fleet, w.server, w.clock
		d.beat++
		p.Held, p.Fleet, p.Number = true, b.Fleet, d.beat
	})
	return p, err
}

func (w *world) Sets(context.Context) (sets []outbox.Set, err error) {
	err = w.call("Sets", func() { sets = w.sets })
	return sets, err
}

func (w *world) Faults(context.Context, []outbox.Set) ([]outbox.Fault, error) { return w.faults, nil }
func (w *world) Heal(context.Context, []outbox.Fault) ([]string, error)       { return nil, nil }

// Keys finds for product n the users n and n + 1.
func (w *world) Keys(_ context.Context, _ outbox.Meaning, row map[string]json.RawMessage) (all [][]string, err error) {
	n, err := strconv.Atoi(string(row["id"]))
	if err != nil {
		return nil, err
	}
	return [][]string{{strconv.Itoa(n)}, {strconv.Itoa(n + 1)}}, w.call("Keys", func() {})
}

func (w *world) Outdate(_ context.Context, changes []shared.Outdated) error {
	away := false
	err := w.call("Outdate", func() {
		for i, o := range changes {
			if w.away[o.Key] {
				away = true
				continue
			}
			w.asked = append(w.asked, o)
			if o.Writer != "" && w.own[o.Key] == o.Writer {
				delete(w.own, o.Key)
				changes[i].Kept = true
				continue
			}
			delete(w.copies, o.Key)
		}
	})
	if away && err == nil {
		err = shared.ErrAway
	}
	return err
}

func (w *world) Sweep(_ context.Context, pattern string, match func(string) bool) (n int64, err error) {
	err = w.call("Sweep", func() {
		for key := range w.copies {
			fits, bad := path.Match(pattern, key)
			if bad != nil {
				w.t.Fatal(bad)
			}
			if fits && match(key) {
				delete(w.copies, key)
				n++
			}
		}
	})
	return n, err
}

func (w *world) Lead(_ context.Context, key, holder string, note []byte, ttl time.Duration) (standing []byte, held bool, err error) {
	err = w.call("Lead", func() {
		l, there := w.leases[key]
		if there && w.clock.Before(l.expires) && !strings.HasPrefix(l.text, holder+" ") {
			standing = []byte(l.text)
			return
		}
		standing, held = []byte(holder+" "+string(note)), true
		w.leases[key] = lease{string(standing), w.clock.Add(ttl)}
	})
	return standing, held, err
}

func (w *world) Yield(_ context.Context, key, holder string) error {
	if strings.HasPrefix(w.leases[key].text, holder+" ") {
		delete(w.leases, key)
	}
	return nil
}

func (w *world) Peek(_ context.Context, key string) (text []byte, err error) {
	err = w.call("Peek", func() {
		if l, there := w.leases[key]; there && w.clock.Before(l.expires) {
			text = []byte(l.text)
		}
	})
	return text, err
}

func (w *world) Generation() shared.Generation { return w.generation }

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.clock = w.clock.Add(d) }

// settle lets an instance work until it has had two looks from the beginning.
func (w *world) settle(all ...*instance) {
	for range 100 {
		for _, i := range all {
			if err := i.step(); err != nil {
				w.t.Log(err)
			}
		}
		w.pass(100 * time.Millisecond)
	}
}

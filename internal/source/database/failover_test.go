package database_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// pair is a primary and a standby, and an address that leads to one of them.
type pair struct {
	primary, standby *testkit.Database
	relay            *testkit.Relay
}

// newPair has the table users, with the record 1, on both.
func newPair(t *testing.T, start func(testkit.TB, ...string) (primary, standby *testkit.Database)) *pair {
	t.Helper()
	p := &pair{}
	p.primary, p.standby = start(t)
	p.primary.Exec(`CREATE TABLE users (id integer PRIMARY KEY, name varchar(80)); INSERT INTO users VALUES (1, 'first')`)
	p.standby.CatchUp(p.primary)
	p.relay = testkit.NewRelay(t, p.primary.Addr())
	return p
}

// promoted makes the standby the primary, and the primary read-only with all of its
// connections.
func (p *pair) promoted() {
	p.standby.CatchUp(p.primary)
	p.standby.Promote()
	p.primary.SetReadOnly(true)
}

func (p *pair) url() string { return p.primary.URLAt(p.relay.Addr()) }

// crowd uses so many connections that the pool is full of them.
func crowd(t *testing.T, r source.Records, n int) {
	t.Helper()
	for i := range n {
		defer rename(t, r, int64(i+1), "held").Rollback() // also when one fails: Close would wait for them
	}
}

func TestPostgresFailsOver(t *testing.T) {
	t.Parallel()
	testFailsOver(t, testkit.PostgresPair)
}

func TestMariaDBFailsOver(t *testing.T) {
	if !testkit.Long() {
		return // PostgreSQL fails over in the short form
	}
	t.Parallel()
	testFailsOver(t, testkit.MariaDBPair)
}

// testFailsOver goes through one fail-over with databases that are reached in several
// ways, whose connections all lead to the old primary and stay open.
func testFailsOver(t *testing.T, start func(testkit.TB, ...string) (primary, standby *testkit.Database)) {
	p := newPair(t, start)
	for id := range 3 {
		p.primary.Exec(fmt.Sprintf(`INSERT INTO users VALUES (%d, 'more')`, id+2))
	}
	moved := records(t, open(t, engine.Config{URL: p.url(), MaxConns: 4}), mariaUser)
	hosts := records(t, open(t, engine.Config{URL: p.primary.URLAt(p.primary.Addr(), p.standby.Addr()), MaxConns: 4}), mariaUser)
	reader := open(t, engine.Config{URL: p.url(), MaxConns: 4})
	watched := records(t, reader, mariaUser)
	superuser := records(t, open(t, engine.Config{URL: strings.Replace(p.url(), "hearth@", "root@", 1), MaxConns: 4}), mariaUser)
	for _, r := range []source.Records{moved, hosts, watched, superuser} {
		crowd(t, r, 3)
	}
	half := sync.OnceFunc(rename(t, moved, 2, "begun before").Rollback)
	defer half()
	p.promoted()
	var err error
	testkit.Eventually(t, time.Minute, "sessions that are open have heard that the old primary is read-only", func() bool {
		var c source.Change
		if c, err = moved.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"nowhere"}`)); err == nil {
			c.Rollback()
		}
		return err != nil
	})
	if errors.Is(err, source.ErrDown) {
		t.Errorf("Put while the address still leads to the old primary: got %v, want a refusal that is no outage", err)
	}
	half()

	p.relay.Retarget(p.standby.Addr())
	// Nobody writes here: the ping notices.
	if err := reader.Ping(t.Context()); err != nil || reader.ReadOnly() {
		t.Errorf("the ping after the fail-over: got %v, read-only %t", err, reader.ReadOnly())
	}
	p.standby.Exec(`UPDATE users SET name = 'second' WHERE id = 1`)
	if got := load(t, watched, int64(1)); got != `{"name":"second"}` {
		t.Errorf("Load after the ping: got %s, want what the new primary has", got)
	}
	for name, r := range map[string]source.Records{"the address": superuser, "several hosts": hosts} {
		if got, want := put(t, r, `{"name":"`+name+`"}`, int64(1)), `{"name":"`+name+`"}`; got != want {
			t.Errorf("Put by %s after the fail-over: got %s", name, got)
		}
		if got := p.standby.Text(nameOfOne); got != name {
			t.Errorf("Put by %s: the new primary has %q", name, got)
		}
		if got := load(t, r, int64(1)); got != `{"name":"`+name+`"}` {
			t.Errorf("Load by %s: got %s", name, got)
		}
	}
	// It was told a moment ago that there is no other server, and asks again.
	testkit.Eventually(t, time.Minute, "the write that was refused goes through", func() bool {
		c, err := moved.Put(t.Context(), source.Args{int64(2)}, bodyOf(`{"name":"moved"}`))
		return err == nil && c.Commit(t.Context()) == nil
	})
	if got := p.standby.Text(`SELECT name FROM users WHERE id = 2`); got != "moved" {
		t.Errorf("the new primary has %q, want what was acknowledged", got)
	}
	testTakesNoWrites(t, p)
}

// testTakesNoWrites is about a database that takes no writes for good: the address leads to
// the old primary.
func testTakesNoWrites(t *testing.T, p *pair) {
	p.relay.Retarget(p.primary.Addr())
	db := open(t, engine.Config{URL: p.url(), MaxConns: 4})
	r := records(t, db, mariaUser)
	began, before := time.Now(), p.relay.Dials()
	for range 50 {
		if _, err := r.Put(t.Context(), source.Args{int64(1)}, bodyOf(`{"name":"x"}`)); err == nil || errors.Is(err, source.ErrDown) {
			t.Fatalf("Put: got %v, want a refusal that is no outage", err)
		}
		load(t, r, int64(1))
		if err := db.Ping(t.Context()); err != nil {
			t.Fatalf("Ping: %v", err)
		}
	}
	// One by the pool, and two each second: one that looks, and one because there is a
	// reason to look at any time.
	if dials, most := p.relay.Dials()-before, 4+2*int64(time.Since(began)/time.Second+1); dials > most {
		t.Errorf("%d connections were made for 50 writes that were refused, want at most %d", dials, most)
	}
	if !db.ReadOnly() || !db.Up() {
		t.Errorf("read-only %t, up %t, want both", db.ReadOnly(), db.Up())
	}
	// Where nobody writes it is a database like any other.
	only := open(t, engine.Config{URL: p.url(), MaxConns: 4})
	reads := records(t, only, database.Spec{Name: "user", Params: person().Params, Select: `SELECT name FROM users WHERE id = {id}`})
	before = p.relay.Dials()
	for range 20 {
		load(t, reads, int64(1))
		if err := only.Ping(t.Context()); err != nil || only.ReadOnly() {
			t.Fatalf("Ping: %v, read-only %t", err, only.ReadOnly())
		}
	}
	if dials := p.relay.Dials() - before; dials > 4 {
		t.Errorf("%d connections were made for reads, want at most 4", dials)
	}
	// It becomes the primary again, and no connection ends.
	p.primary.SetReadOnly(false)
	testkit.Eventually(t, time.Minute, "the ping sees that writes are taken", func() bool { return db.Ping(t.Context()) == nil && !db.ReadOnly() })
}

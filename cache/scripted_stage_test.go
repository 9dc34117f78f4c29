package cache

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/cache/shared"
	"hearth/internal/testkit"
)

// stage is a scripted Redis that is just complete enough to be believed: it
// keeps strings, tracks what was read, and reports changes in the one order
// that Redis 7 guarantees. Plans make it do to single reads what a real server
// does only when the moment is bad.
type stage struct {
	srv *testkit.Script

	mu      sync.Mutex
	version string
	values  map[string]string
	plans   map[string]plan
	execs   map[string]int    // tracked reads by key
	gets    map[string]int    // other reads
	instead map[string]gotten // what the next other read of a key meets
	tracked map[string]*testkit.Conn
	slots   any    // the answer to CLUSTER SLOTS; nil: no cluster
	nodes   string // the answer to CLUSTER NODES
	noperm  bool   // CLIENT CACHING is refused, so nothing is tracked
	mute    bool   // changes are not reported any more
	silent  int    // nothing is sent any more on the first so many connections

	reader *testkit.Conn // the latest connection that read tracked
	held   *testkit.Conn // what is due on it collects in due
	due    string
}

// gotten is what happens to one plain GET of a key: its reply is another one, or is held
// back, and all behind it.
type gotten struct {
	reply string
	hold  bool
}

// The parts of the reply to a tracked read: positions in a plan.
const (
	partCaching = iota
	partMulti
	partPTTL
	partGet
	partExec
	partsEnd // behind the reply
)

// plan is what happens to one tracked read of a key.
type plan struct {
	reply map[int]string // parts to send instead, as on the wire
	push  int            // an invalidation goes before this part …
	pushs bool           // … if this is set
	hold  int            // from this part on all is held back …
	holds bool           // … if this is set
	then  func()         // called when the read has been executed
}

func pushAt(part int) plan { return plan{push: part, pushs: true} }
func holdAt(part int) plan { return plan{hold: part, holds: true} }

func newStage(t *testing.T) *stage {
	s := &stage{
		version: "7.0.15", values: map[string]string{}, plans: map[string]plan{}, execs: map[string]int{}, gets: map[string]int{}, instead: map[string]gotten{},
		tracked: map[string]*testkit.Conn{},
	}
	s.srv = testkit.ScriptedRedis(t, s.serve)
	return s
}

func (s *stage) serve(c *testkit.Conn) {
	var tx transcript
	for cmd := c.Read(); cmd != nil; cmd = c.Read() {
		s.command(c, cmd, &tx)
	}
}

// transcript is a tracked read as its commands come in. Its replies are sent
// together: none of them means anything before the last.
type transcript struct {
	parts []string
	multi bool
	key   string
}

const simpleOK = "+OK\r\n"

func (s *stage) command(c *testkit.Conn, cmd []string, tx *transcript) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.ToUpper(cmd[0])
	if name == "CLIENT" || name == "CLUSTER" {
		name += " " + strings.ToUpper(cmd[1])
	}
	switch {
	case name == "CLIENT CACHING":
		*tx = transcript{parts: []string{simpleOK}}
		if s.noperm {
			tx.parts[0] = "-NOPERM this user has no permissions to run the 'client|caching' command\r\n"
		}
		s.reader = c
	case name == "MULTI":
		tx.multi, tx.parts = true, append(tx.parts, simpleOK)
	case name == "EXEC":
		s.exec(c, tx)
		*tx = transcript{}
	case tx.multi:
		tx.key, tx.parts = cmd[1], append(tx.parts, "+QUEUED\r\n")
	default:
		s.send(c, s.plain(c, name, cmd))
	}
}

// exec runs a tracked read and plays its reply by the key's plan.
func (s *stage) exec(c *testkit.Conn, tx *transcript) {
	value, pttl := any(nil), -2
	if v, ok := s.values[tx.key]; ok {
		value, pttl = v, -1
	}
	parts := append(tx.parts, testkit.Encode([]any{pttl, value}))
	if !s.noperm {
		s.tracked[tx.key] = c
	}
	p := s.plans[tx.key]
	delete(s.plans, tx.key)
	for i := range partsEnd + 1 {
		if p.pushs && p.push == i {
			s.send(c, testkit.Encode(testkit.Push{"invalidate", []any{tx.key}}))
			if i == partsEnd {
				delete(s.tracked, tx.key)
			}
		}
		if p.holds && p.hold == i {
			s.held = c
		}
		if i == partsEnd {
			break
		}
		if instead, ok := p.reply[i]; ok {
			parts[i] = instead
		}
		s.send(c, parts[i])
	}
	s.execs[tx.key]++
	if p.then != nil {
		p.then()
	}
}

// plain answers what is no tracked read.
func (s *stage) plain(c *testkit.Conn, name string, cmd []string) string {
	switch name {
	case "HELLO":
		mode := "standalone"
		if s.slots != nil {
			mode = "cluster"
		}
		return testkit.Encode(testkit.Map{"server", "redis", "version", s.version, "proto", 3, "id", c.ID, "mode", mode, "role", "master", "modules", []any{}})
	case "INFO":
		mode := "standalone"
		if s.slots != nil {
			mode = "cluster"
		}
		return testkit.Encode("# Server\r\nredis_version:" + s.version + "\r\nrun_id:" + s.srv.Addr() + "\r\nredis_mode:" + mode + "\r\n")
	case "CLUSTER SLOTS":
		return testkit.Encode(s.slots)
	case "CLUSTER NODES":
		return testkit.Encode(s.nodes)
	case "CLIENT TRACKING", "ASKING":
		return simpleOK
	case "PTTL":
		return testkit.Encode(-1)
	case "GET":
		s.gets[cmd[1]]++
		met := s.instead[cmd[1]]
		delete(s.instead, cmd[1])
		if met.hold {
			s.held = c
		}
		if met.reply != "" {
			return met.reply
		}
		if v, ok := s.values[cmd[1]]; ok {
			return testkit.Encode(v)
		}
		return testkit.Encode(nil)
	case "SET":
		old, ok := s.values[cmd[1]]
		if len(cmd) > 3 && cmd[3] == "NX" && ok {
			return testkit.Encode(old)
		}
		s.change(cmd[1], cmd[2])
		if len(cmd) > 3 && cmd[3] == "NX" {
			return testkit.Encode(nil)
		}
		return simpleOK
	case "EVALSHA":
		keys, err := strconv.Atoi(cmd[2])
		if err != nil {
			return testkit.Encode(testkit.Error("ERR value is not an integer or out of range"))
		}
		return s.script(keys, cmd[3], cmd[3+keys:])
	}
	return testkit.Encode(testkit.Error("ERR unknown command " + cmd[0]))
}

// script does what our scripts do when there is one writer. It tells them apart by
// how many keys and arguments they have; a fill begins with the text of a lease.
func (s *stage) script(keys int, key string, args []string) string {
	fill := len(args) == 3 && strings.HasPrefix(args[0], shared.LeasePrefix)
	switch {
	case fill && s.values[key] != args[0]:
		return testkit.Encode(0)
	case fill:
		s.change(key, args[1])
	case keys == 1 && len(args) == 3: // swap
		s.change(key, args[1])
		return testkit.Encode(nil)
	case len(args) == 2: // guard
		s.change(key, shared.GuardPrefix+args[0]+"@9999999999999")
	case len(args) == 3 && args[1] != "": // unguard, with the record
		s.change(key, args[1])
	default:
		s.change(key, "")
	}
	return testkit.Encode(1)
}

// change sets a key, "" deletes it, and reports that to whoever read it.
func (s *stage) change(key, value string) {
	s.values[key] = value
	if value == "" {
		delete(s.values, key)
	}
	c := s.tracked[key]
	delete(s.tracked, key)
	if c != nil && !s.mute {
		s.send(c, testkit.Encode(testkit.Push{"invalidate", []any{key}}))
	}
}

// send keeps the order of a connection while it is held.
func (s *stage) send(c *testkit.Conn, raw string) {
	switch {
	case c.ID <= s.silent:
	case c == s.held:
		s.due += raw
	default:
		c.Write(raw)
	}
}

// release sends what was held back.
func (s *stage) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, due := s.held, s.due
	s.held, s.due = nil, ""
	if c != nil {
		s.send(c, due)
	}
}

// do runs f while nothing happens on stage.
func (s *stage) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stage) plan(key string, p plan) { s.do(func() { s.plans[key] = p }) }

func (s *stage) set(key, value string) { s.do(func() { s.change(key, value) }) }

func (s *stage) reads(key string) (n int) {
	s.do(func() { n = s.execs[key] })
	return n
}

// awaitReads waits until key has been read tracked n times.
func (s *stage) awaitReads(t *testing.T, key string, n int) {
	t.Helper()
	testkit.Eventually(t, patience, fmt.Sprintf("tracked read %d of %s", n, key), func() bool { return s.reads(key) == n })
}

// patientLink is a link_timeout so long that no canary disturbs a held connection.
func patientLink(c *setup) { c.LinkTimeout = 40 * time.Second }

// quickLink notices a broken link within a second.
func quickLink(c *setup) { c.LinkTimeout = 800 * time.Millisecond }

// openStage returns a Cache whose connection to s has proved itself.
func openStage(t *testing.T, s *stage, change ...func(*setup)) *Cache {
	t.Helper()
	cfg := testConfig()
	cfg.Redis.URL = s.srv.URL()
	c := open(t, cfg, change...)
	testkit.Eventually(t, patience, "the connection has proved itself", func() bool { return c.Up() == nil && proven(c) })
	return c
}

// onTheBooks tells whether a read of key is in flight, or may still be.
func onTheBooks(c *Cache, key string) bool {
	sh := c.flights.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.flights[key] != nil
}

// watchOf is closed when the next change of key is applied.
func watchOf(c *Cache, key string) <-chan struct{} {
	sh := c.flights.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.watch(key).fired
}

func awaitFired(t *testing.T, what string, fired <-chan struct{}) {
	t.Helper()
	select {
	case <-fired:
	case <-time.After(patience):
		t.Fatalf("waiting %v in vain: %s", patience, what)
	}
}

// pending is a read that runs beside the test.
type pending struct {
	done   chan struct{}
	answer Answer
	err    error
}

func (d *desk) readBeside(id string) *pending {
	p := &pending{done: make(chan struct{})}
	ctx := within(d.t)
	go func() {
		defer close(p.done)
		p.answer, p.err = d.readWithin(ctx, id)
	}()
	return p
}

func (p *pending) want(t *testing.T, data string) Answer {
	t.Helper()
	awaitFired(t, "a read returns", p.done)
	if p.err != nil || string(p.answer.Data()) != data {
		t.Fatalf("got %v, %v, want %s", p.answer, p.err, data)
	}
	return p.answer
}

// memory is the fresh data that memory holds for id, "" for none.
func (d *desk) memory(id string) string {
	e, _ := d.Hit(d.r, []byte(d.key(id)), time.Now())
	if e == nil {
		return ""
	}
	return string(e.Data())
}

func (d *desk) wantMemory(id, want string) {
	d.t.Helper()
	if got := d.memory(id); got != want {
		d.t.Fatalf("memory holds %q for %s, want %q", got, id, want)
	}
}

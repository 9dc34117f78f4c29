package test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/outside"
)

// deployed is a Redis as it is deployed, for the story that is played over each.
type deployed struct {
	url     string          // redis.url
	config  string          // further lines of the section
	env     string          // overrides a key; "": patientLink
	past    *outside.Client // another program that uses it
	restart func()          // ends all that has data, and starts it again
	ready   func()          // waits until it is whole after that
	before  func(*story)    // what this form has to show before the story
	after   func(*story)    // and behind it
	wrap    []string        // launch.Program.Wrapper
}

// forms are the forms in which Redis is deployed.
var forms = map[string]func(t *testing.T) deployed{
	"single":                          func(t *testing.T) deployed { return single(testkit.Redis(t)) },
	"a unix socket":                   onASocket,
	"a database's number":             func(t *testing.T) deployed { s := single(testkit.Redis(t)); s.url += "/5"; s.past = nil; return s },
	"TLS":                             func(t *testing.T) deployed { return overTLS(t, false) },
	"TLS with a client's certificate": func(t *testing.T) deployed { return overTLS(t, true) },
	"the documented account":          withTheAccount,
	"no memory left":                  withoutMemory,
	"eviction":                        withEviction,
	"a tiny tracking table":           withATinyTable,
	"timeout":                         withATimeout,
	"loading":                         whileLoading,
	"Valkey":                          func(t *testing.T) deployed { return single(testkit.Redis(t, testkit.AsValkey())) },
	"Sentinel":                        withSentinels,
	"Cluster":                         inACluster,
}

// story is one play: an instance over one form.
type story struct {
	*testing.T
	deployed
	in *launch.Instance
	n  int // rows that were used
}

const rowsOfTheStory = `
[memory]
budget = "64MiB"
[database]
init = ["CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"]
[[batch]]
path = "/batch"
resource = "item"
[[counter]]
path = "/count"
key = "request_count"
[[limit]]
name = "few"
paths = ["/limited/*"]
by = "global"
rate = "3/h"
[[resource]]
name = "item"
path = "/item/{id:string}"
key = "item:{id}"
[[resource]]
name = "row"
path = "/row/{id:int}"
key = "user:{id}"
select = "SELECT id, v FROM rows WHERE id = {id}"
upsert = "INSERT INTO rows (id, v) VALUES ({id}, {body.v}) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
delete = "DELETE FROM rows WHERE id = {id}"
[[resource]]
name = "limited"
path = "/limited/{id:int}"
key = "item:limited:{id}"
`

// patientLink is memory.link_timeout where nothing may be marked: what takes that long on
// a loaded machine is no fault.
const patientLink = "HEARTH_MEMORY_LINK_TIMEOUT=3s"

// TestEveryRedis plays the same story over Redis in every form in which it is deployed:
// all that there is to do, and a restart in the middle of it.
func TestEveryRedis(t *testing.T) {
	t.Parallel()
	for name, start := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			awaitNewHour(t) // of the limit
			s := tell(t, start(t))
			rounds := 1
			if testkit.Long() {
				rounds = 5
			}
			for range rounds {
				s.ordinary()
				s.restarted()
			}
			s.ordinary()
			s.limited()
			if s.after != nil {
				s.after(s)
			}
		})
	}
}

// tell starts the instance of a story.
func tell(t *testing.T, d deployed) *story {
	t.Helper()
	s := tellUnready(t, d)
	if d.before != nil {
		d.before(s)
	}
	s.in.AwaitReady()
	return s
}

// tellUnready is tell that does not wait.
func tellUnready(t *testing.T, d deployed) *story {
	t.Helper()
	s := &story{T: t, deployed: d}
	s.in = launch.Program{
		Config:  fmt.Sprintf("[redis]\nurl = %q\n%s\n", d.url, d.config) + rowsOfTheStory,
		Env:     []string{"HEARTH_DATABASE_URL=sqlite:rows.db", "HEARTH_DATABASE_TIMEOUT=4s", cmp.Or(d.env, patientLink)},
		Wrapper: d.wrap,
	}.Start(t)
	return s
}

// row is a row that no part of the story has used, and its path.
func (s *story) row() (id int, path string) {
	s.n++
	return s.n, fmt.Sprintf("/row/%d", s.n)
}

func rowOf(id int, v string) string { return fmt.Sprintf(`{"id":%d,"v":%q}`, id, v) }

// says checks that an answer is this record, and reports whether memory had it.
func (s *story) says(got launch.Reply, record string) (fromMemory bool) {
	s.Helper()
	if got.Code != 200 || !strings.Contains(got.Body, record) || !got.Unmarked() {
		s.Fatalf("answered %v, want %s without a mark", got, record)
	}
	return got.FromMemory()
}

// must asks and ends the story unless the answer has that code.
func (s *story) must(code int, method, path, body string) launch.Reply {
	s.Helper()
	got := s.in.Ask(method, path, body)
	if got.Code != code {
		s.Fatalf("%s %s is answered %v, want %d", method, path, got, code)
	}
	return got
}

// inMemory reads until memory has a path.
func (s *story) inMemory(path, record string) {
	s.Helper()
	await(s, "memory has "+path, func() bool { return s.says(s.in.Get(path), record) })
}

// ordinary is a day like any other: nothing of it may be marked or refused.
func (s *story) ordinary() {
	s.Helper()
	id, path := s.row()
	s.must(404, "GET", path, "")
	s.says(s.must(200, "PUT", path, `{"v":"put"}`), rowOf(id, "put"))
	s.says(s.in.Get(path), rowOf(id, "put"))
	s.inMemory(path, rowOf(id, "put"))
	if s.past != nil {
		s.foreign(id, path)
	}
	s.must(200, "PUT", path, `{"v":"again"}`)
	s.says(s.in.Get(path), rowOf(id, "again"))
	s.must(204, "DELETE", path, "")
	s.must(404, "GET", path, "")

	var items, ids []string
	for i := range 20 {
		item := fmt.Sprintf("%d-%d", id, i)
		items, ids = append(items, fmt.Sprintf(`{"id":%q,"n":%d}`, item, i)), append(ids, "id="+item)
	}
	s.must(200, "POST", "/batch", "["+strings.Join(items, ",")+"]")
	many := s.must(200, "GET", "/item?"+strings.Join(ids, "&"), "")
	for i, item := range items {
		s.says(many, item)
		s.inMemory("/item/"+strings.TrimPrefix(ids[i], "id="), item)
	}
	before := s.must(200, "GET", "/count", "").Body
	if after := s.must(200, "GET", "/count", "").Body; after == before {
		s.Errorf("the counter says %s twice", after)
	}

	id, path = s.row()
	s.must(200, "PUT", path, `{"v":"kept"}`)
	s.inMemory(path, rowOf(id, "kept"))
	if got := s.in.AskAdmin("POST", "/api/invalidate", fmt.Sprintf(`{"paths":[%q]}`, path)); got.Code != 200 {
		s.Fatalf("invalidating is answered %v", got)
	}
	if got := s.in.Get(path); s.says(got, rowOf(id, "kept")) {
		s.Errorf("after an invalidation: %v", got)
	}
}

// foreign has another program change what memory has.
func (s *story) foreign(id int, path string) {
	s.Helper()
	must(s, s.past.Set(fmt.Sprintf("user:%d", id), rowOf(id, "foreign")))
	await(s, "the change of another program is seen", func() bool {
		got := s.in.Get(path)
		return got.Code == 200 && got.Unmarked() && strings.Contains(got.Body, rowOf(id, "foreign"))
	})
	s.inMemory(path, rowOf(id, "foreign"))
}

// restarted ends Redis in good order, and sees everything come back by itself.
func (s *story) restarted() {
	s.Helper()
	id, path := s.row()
	s.must(200, "PUT", path, `{"v":"before"}`)
	s.inMemory(path, rowOf(id, "before"))
	s.restart()
	if s.ready != nil {
		s.ready()
	}
	record := func(got launch.Reply) bool { return got.Code == 200 && strings.Contains(got.Body, rowOf(id, "before")) }
	await(s, "after the restart memory answers again, without a mark", func() bool {
		got := s.in.Get(path)
		if !record(got) {
			s.Errorf("after the restart: %v", got)
		}
		return got.FromMemory()
	})
	await(s, "writes go through again", func() bool { return s.in.Ask("PUT", path, `{"v":"after"}`).Code == 200 })
	// For a moment answers may be marked; older they are never.
	if got := s.in.Get(path); got.Code != 200 || !strings.Contains(got.Body, rowOf(id, "after")) {
		s.Errorf("after the restart and a write: %v", got)
	}
	await(s, "all is well", func() bool { return s.in.AskAdmin("GET", "/readyz", "").Code == 200 })
	s.unmarked()
	if s.past != nil { // each of its connections finds out by itself that it is broken
		await(s, "the other program is connected", func() bool { return s.past.Set("item:any", "1") == nil })
	}
}

// unmarked waits until no server of Redis has its answers marked any more, as they are for
// a moment after it has come back.
func (s *story) unmarked() {
	s.Helper()
	await(s, "nothing is marked any more", func() bool {
		for id := range 30 { // of a Cluster, some for each master
			if !s.in.Get(fmt.Sprintf("/row/%d", 1_000_000+id)).Unmarked() {
				return false
			}
		}
		return true
	})
}

// limited uses up a limit, whose count is in Redis.
func (s *story) limited() {
	s.Helper()
	codes := map[int]int{}
	for range 6 {
		codes[s.in.Get("/limited/1").Code]++
	}
	// Permits whose answer comes too late are lost.
	if codes[404] > 3 || codes[404]+codes[429] != 6 {
		s.Errorf("a limit of three is answered %v", codes)
	}
}

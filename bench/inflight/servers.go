package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

const (
	steadyAfter = time.Second // after all have connected, before anything is counted
	pollEvery   = 50 * time.Millisecond
)

// servers are what a run starts: a Redis, and the two that are compared.
type servers struct {
	connections int
	held        time.Duration // how long a request to heldPath is
	dir         string
	cpus        []int // all of them use the same
	redis       *testkit.RedisServer
	asking      *testkit.RedisConn
	servers     []*server
}

// server is one of those that are compared. Its counts are its own, or Redis' for it:
// what wrk had in flight when it ended is in them, too.
type server struct {
	*testkit.Process
	name  string
	addr  string                    // host:port
	begun func(tb testkit.TB) int64 // requests that have come so far
	held  func(tb testkit.TB) int64 // of these, to heldPath
	// answered is how many requests were answered with 200; nil where nobody counts.
	answered func(tb testkit.TB) int64
}

// startServers starts all of them and waits until they answer.
func startServers(tb testkit.TB, o options) *servers {
	s := &servers{connections: o.connections, held: o.held, dir: testkit.TempDir(tb, "inflight"), cpus: testkit.Processors(2)}
	s.redis = testkit.Redis(tb, testkit.WithCPUs(s.cpus))
	s.asking = s.redis.AdminConn()
	s.startBare(tb)
	s.startHearth(tb, o)
	return s
}

// startHearth serves the demo's configuration, all that is on by default being on,
// with a second counter whose requests are held.
func (s *servers) startHearth(tb testkit.TB, o options) {
	demo, err := os.ReadFile(filepath.Join(o.repo, "config.toml"))
	if err != nil {
		tb.Fatalf("reading the demo's configuration: %v", err)
	}
	n := launch.Program{
		Path: o.hearth, Public: launch.Port, Admin: launch.Port, CPUs: s.cpus,
		Config: fmt.Sprintf("%s\n[[counter]]\npath = %q\nkey = \"held_count\"\nwork = %q\n", demo, heldPath, s.held),
		Env: []string{
			"HEARTH_SERVER_DRAIN=0s", "HEARTH_REDIS_URL=" + s.redis.URL(),
			"HEARTH_LOG_SLOW=1h", // those that are held are not slow
		},
	}.Ready(tb)
	s.servers = append(s.servers, &server{
		Process: n.Process(), name: launch.Name, addr: n.Public,
		held:  func(tb testkit.TB) int64 { return s.number(tb, "held_count") },
		begun: func(tb testkit.TB) int64 { return s.number(tb, "request_count") + s.number(tb, "held_count") },
		answered: func(tb testkit.TB) (sum int64) {
			tiers, err := n.Answered()
			if err != nil {
				tb.Fatal(err)
			}
			for tier, count := range tiers {
				if tier != "other status" {
					sum += int64(count)
				}
			}
			return sum
		},
	})
}

// startBare starts this program once more.
func (s *servers) startBare(tb testkit.TB) {
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	b := &server{name: "bare", addr: fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))}
	b.begun = func(tb testkit.TB) int64 {
		text, err := b.get("/count")
		if err != nil {
			tb.Fatalf("asking the bare handler for its count: %v", err)
		}
		return parse(tb, text)
	}
	b.held = b.begun
	b.Process = testkit.Start(tb, testkit.Command{
		Name: b.name, Dir: s.dir, CPUs: s.cpus, DeathSignal: syscall.SIGTERM, Argv: []string{self, "bare", b.addr, s.held.String()},
	})
	b.AwaitReady(func() bool {
		_, err := b.get(workPath)
		return err == nil
	})
	s.servers = append(s.servers, b)
}

// get asks over a connection of its own.
func (srv *server) get(path string) (body string, err error) {
	c := load.NewConn(srv.addr, load.AnswerWithin)
	defer c.Close()
	err = c.Do(http.MethodGet, path, "")
	return string(c.Answer.Body()), err
}

// number reads a counter from Redis.
func (s *servers) number(tb testkit.TB, key string) int64 {
	reply, err := s.asking.Try("GET", key)
	if err != nil {
		tb.Fatalf("asking redis-server for %s: %v", key, err)
	}
	if text, ok := reply.(string); ok {
		return parse(tb, text)
	}
	return 0
}

func parse(tb testkit.TB, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// resident is the resident memory of a server, in bytes.
func resident(tb testkit.TB, srv *server) int64 {
	n, err := srv.Resident()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// sleep waits for d; the end of the run ends it, too.
func sleep(tb testkit.TB, d time.Duration) {
	if !testkit.Sleep(tb.Context(), d) {
		tb.Fatal(context.Cause(tb.Context()))
	}
}
